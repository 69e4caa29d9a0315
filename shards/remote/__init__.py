"""Files at addresses: where they may be, how they are read, and how they come whole."""
