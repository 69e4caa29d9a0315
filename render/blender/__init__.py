"""All that touches Blender: nothing outside this folder imports ``bpy``."""
