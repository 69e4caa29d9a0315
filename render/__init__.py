"""3D models into the shards of a benchmark, with Blender."""
