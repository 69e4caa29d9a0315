"""Errors that cross from a render process to its parent, which must never load Blender to read them."""

import os
from pathlib import Path

from shards.errors import IebenchError


class ModelError(IebenchError):
    """The model file cannot be rendered; the message says why."""


class SourceUnavailable(Exception):
    """A model cannot be read, and the file system it is on is to blame; it may be there again later."""

    @classmethod
    def by(cls, error: OSError) -> "SourceUnavailable":
        """Creates this error from an ``OSError``; the message names its file and its reason."""
        where = f"{error.filename}: " if error.filename else ""
        return cls(f"{where}{error.strerror or os.strerror(error.errno or 0)}")


def unreadable(path: Path) -> ModelError:
    """The error of a file that is not what its suffix says."""
    return ModelError(f"it cannot be read as {path.suffix[1:].upper()}")
