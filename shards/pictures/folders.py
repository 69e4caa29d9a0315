"""Reads pictures from a folder for each class, with the layout of torchvision's ``ImageFolder``."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.class_names import SHAPENET_CLASSES
from shards.errors import UsageError
from shards.files import read_source_file
from shards.images import ChannelOrder
from shards.licenses import license_beside
from shards.pictures.picture import SUFFIXES, Picture
from shards.pictures.source import FoundPicture

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "val"}


@dataclass(frozen=True)
class ClassFolders:
    """A ``PictureSource`` of ``class/picture.jpg``, or of ``train/class/picture.jpg`` and ``val/class/picture.jpg``."""

    folder: Path
    words = "class folders"
    channel_order: ChannelOrder = "rgb"

    def __str__(self) -> str:
        return str(self.folder)

    def pictures(self) -> list[FoundPicture]:
        """Lists all pictures by their file names, without reading them.

        Raises:
            UsageError: There is no such folder, or it has no pictures in folders of classes.
        """
        if not self.folder.is_dir():
            raise UsageError(f"there is no folder {self.folder}")
        splits = [name for name in _folders(self.folder) if name in _SPLITS]
        is_split = "train" in splits and len(splits) == 2
        found = []
        for name in splits if is_split else [""]:
            root = self.folder / name
            for synset in _folders(root):
                found += [(_SPLITS.get(name), synset, path) for path in _files(root / synset)]
        if not found:
            raise UsageError(
                f"{self.folder} holds no pictures in folders of classes: expected {self.folder}/class/picture.jpg or "
                f"{self.folder}/train/class/picture.jpg and {self.folder}/val/class/picture.jpg"
            )
        stems = Counter((synset, _stem(path)) for _, synset, path in found)
        pictures = []
        for split, synset, path in found:
            name = _stem(path)
            if stems[synset, name] > 1:
                name = f"{split}/{path}" if is_split else path
            location = (self._split_folder(splits, split) if is_split else "", synset, path)
            pictures.append(FoundPicture(synset, name, split if is_split else None, location))
        return pictures

    def class_names(self) -> Mapping[str, str]:
        """Returns the names of ShapeNet's classes; other folders are called by their own names."""
        return SHAPENET_CLASSES

    def read(self, item: Picture) -> bytes:
        """Reads the bytes of a picture.

        Raises:
            IebenchError: The file is missing or cannot be read.
        """
        return read_source_file(self.folder.joinpath(*map(str, item.location)))

    def license_text(self) -> str:
        """Returns the contents of the file LICENSE in the folder; empty if there is none."""
        return license_beside(self.folder)

    @staticmethod
    def _split_folder(splits: list[str], split: str | None) -> str:
        return next(name for name in splits if _SPLITS[name] == split)


def _folders(folder: Path) -> list[str]:
    """Lists the names of the folders inside a folder, without hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(
            _text(entry.name, entry.path)
            for entry in entries
            if entry.is_dir() and not entry.name.startswith(".")
        )


def _files(folder: Path) -> Iterator[str]:
    """Yields the paths of the pictures below a folder, relative to it; links to folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(parent, name)
                yield _text(str(path.relative_to(folder)), str(path))


def _stem(path: str) -> str:
    return str(Path(path).with_suffix(""))


def _text(name: str, path: str) -> str:
    try:
        name.encode()  # keys and JSON need UTF-8, but a file name may be any bytes
    except UnicodeEncodeError:
        raise UsageError(f"the name of {os.fsencode(path)!r} is no text; rename it") from None
    return name
