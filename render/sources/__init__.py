"""Where models come from: the layouts of folders and archives, and what a file must be to be rendered."""
