"""Reads pictures from a folder for each class, with the layout of torchvision's ``ImageFolder``."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from shards.class_names import SHAPENET_CLASSES
from shards.errors import UsageError
from shards.files import read_source_file
from shards.licenses import license_beside
from shards.pictures.picture import SUFFIXES, Picture
from shards.pictures.source import FoundPicture, PictureSource
from shards.published.published_source import checked_name, folders_in

_SPLITS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "val"}


class ClassFolders(PictureSource):
    """A folder of ``class/picture.jpg``, or of ``train/class/picture.jpg`` and ``val/class/picture.jpg``."""

    words = "class folders"

    def pictures(self) -> list[FoundPicture]:
        """Lists all pictures by their file names, without reading them.

        Raises:
            UsageError: There is no such folder, or it has no pictures in folders of classes.
        """
        if not self.path.is_dir():
            raise UsageError(f"there is no folder {self.path}")
        splits = [name for name in folders_in(self.path) if name in _SPLITS]
        is_split = "train" in splits and len(splits) == 2
        found = []
        for folder in splits if is_split else [""]:
            root = self.path / folder
            for synset in folders_in(root):
                found += [(folder, synset, path) for path in _files(root / synset)]
        if not found:
            raise UsageError(
                f"{self.path} holds no pictures in folders of classes: expected {self.path}/class/picture.jpg or "
                f"{self.path}/train/class/picture.jpg and {self.path}/val/class/picture.jpg"
            )
        stems = Counter((synset, _stem(path)) for _, synset, path in found)
        pictures = []
        for folder, synset, path in found:
            name, split = _stem(path), _SPLITS.get(folder)
            if stems[synset, name] > 1:
                name = f"{split}/{path}" if split else path
            pictures.append(FoundPicture(synset, name, split, (folder, synset, path)))
        return pictures

    def class_names(self) -> Mapping[str, str]:
        """Returns the names of ShapeNet's classes; other folders are called by their own names."""
        return SHAPENET_CLASSES

    def read(self, item: Picture) -> bytes:
        return read_source_file(self.path.joinpath(*map(str, item.location)))

    def license_text(self) -> str:
        return license_beside(self.path)


def _files(folder: Path) -> Iterator[str]:
    """Yields the paths of the pictures below a folder, relative to it; links to folders are not followed."""
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                path = Path(parent, name)
                yield checked_name(str(path.relative_to(folder)), str(path))


def _stem(path: str) -> str:
    return str(Path(path).with_suffix(""))
