"""The sources of models: the layouts of folders and archives, and the conditions for rendering a file."""
