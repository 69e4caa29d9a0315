"""Names and places of the files of a published dataset."""

import os
import re
from pathlib import Path

from shards.errors import IebenchError

LISTS = {"train": ("train_images.npy", "train_labels.npy"), "val": ("val_images.npy", "val_labels.npy")}
"""Per split the list of its objects, written ``/synset/object``, and that of their labels."""

_FILES = {name for names in LISTS.values() for name in names}


_VIEW_FILE = re.compile(r"(image|latent)_(0|[1-9][0-9]{0,6})(\.jpg|\.npy)")
_EXTENSIONS = {"image": ".jpg", "latent": ".npy"}


def view_of_file(name: str) -> int | None:
    """The number of the view that a file is of; None where it is no view's."""
    match = _VIEW_FILE.fullmatch(name)
    return int(match[2]) if match and _EXTENSIONS[match[1]] == match[3] else None


def file_code(name: str) -> int:
    """A number for each file of an object: twice the view's, and one more for latents; -1 for other files."""
    view = view_of_file(name)
    return -1 if view is None else 2 * view + name.startswith("latent")


def image_name(view: int) -> str:
    """The file of a view's image."""
    return f"image_{view}.jpg"


def latents_name(view: int) -> str:
    """The file of a view's latents."""
    return f"latent_{view}.npy"


def object_place(synset: str, object_id: str) -> Path:
    """Where an object's files are, from the folder of the dataset.

    Raises:
        IebenchError: one of the names can be no folder's, or would lead elsewhere.
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
    """Hidden names are for what iebench itself keeps in such a folder."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return bool(name) and not name.startswith(".") and not {"/", "\0", os.sep} & set(name)
