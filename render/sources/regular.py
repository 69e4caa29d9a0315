"""Refuses what is no file of data: whoever opens a pipe waits for its writer, and a device may never end."""

import stat
from pathlib import Path

from render.model_errors import ModelError


def require_regular(path: Path, reference: str = "") -> None:
    """Raises a ``ModelError`` if there is a pipe, socket or device at a path; a folder, or nothing, may be there.

    Args:
        path: Path of the file.
        reference: Name by which a model refers to it; empty for the model itself.
    """
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # whoever reads it is told
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        subject = f"it refers to {reference[:200]}, which" if reference else "it"
        raise ModelError(f"{subject} is no regular file")
