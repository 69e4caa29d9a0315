"""Errors that cross from a render process to its parent, which must never load Blender to read them."""

from pathlib import Path

from shards.errors import IebenchError


class ModelError(IebenchError):
    """The model file cannot be rendered; the message says why."""


def unreadable(path: Path) -> ModelError:
    """The error of a file that is not what its suffix says."""
    return ModelError(f"it cannot be read as {path.suffix[1:].upper()}")
