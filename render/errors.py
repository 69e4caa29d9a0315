"""Errors that cross from a render process to its parent, which must never load Blender to read them."""

from shards.errors import IebenchError


class ModelError(IebenchError):
    """The model file cannot be rendered; the message says why."""
