"""Defines the names and paths of the files in the published layout."""

import os
import re
from pathlib import Path

from shards.errors import IebenchError

LISTS = {"train": ("train_images.npy", "train_labels.npy"), "val": ("val_images.npy", "val_labels.npy")}
"""Files of each split: the list of its objects, written ``/synset/object``, and the list of their labels."""

_FILES = {name for names in LISTS.values() for name in names}
_NUMBER = "(0|[1-9][0-9]{0,6})"
_VIEW_FILE = re.compile(rf"image_{_NUMBER}\.jpg|latent_{_NUMBER}\.npy")


def view_of_file(name: str) -> int | None:
    """Returns the number of the view that a file belongs to; None if it is not a file of a view."""
    match = _VIEW_FILE.fullmatch(name)
    return int(match[1] or match[2]) if match else None


def file_code(name: str) -> int:
    """Returns the code of a file of view i: 2 * i for its image, 2 * i + 1 for its latents; -1 for other files."""
    view = view_of_file(name)
    return -1 if view is None else 2 * view + name.startswith("latent")


def image_name(view: int) -> str:
    """Returns the name of the file with a view's image."""
    return f"image_{view}.jpg"


def latents_name(view: int) -> str:
    """Returns the name of the file with a view's latents."""
    return f"latent_{view}.npy"


def object_folder(synset: str, object_id: str) -> Path:
    """Returns the path of an object's files relative to the dataset's folder.

    Raises:
        IebenchError: One of the names cannot be the name of a folder, or would lead out of the dataset's folder.
    """
    for name in (synset, object_id):
        if not _names_a_folder(name):
            raise IebenchError(
                f"{synset}/{object_id}: {name!r} cannot be the name of a folder in this layout"
            )
    if synset in _FILES:
        raise IebenchError(f"{synset}/{object_id}: {synset} is the name of a list in this layout")
    return Path(synset, object_id)


def _names_a_folder(name: str) -> bool:
    """Returns whether a name can be a folder's. Hidden names cannot, as iebench keeps its own files in such folders."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and not name.startswith(".") and not {"/", "\0", os.sep} & set(name)
