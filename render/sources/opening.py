"""An object's model as a file, wherever it comes from."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from render.sources.archives import unpacked_model

if TYPE_CHECKING:
    from render.catalog import ObjectRef


@contextlib.contextmanager
def opened_model(item: "ObjectRef", folder: Path | None = None) -> Iterator[Path]:
    """The path of an object's model, with what belongs to it beside it, for as long as the context lasts.

    Args:
        item: Object to open.
        folder: Folder for unpacked files; by default the system's temporary folder.

    Raises:
        ModelError: The model lies in an archive and cannot be unpacked.
    """
    if not item.member:
        yield item.path
        return
    with unpacked_model(item.path, item.member, folder) as path:
        yield path
