"""Defines the interface of sources in the published layout, and the source that reads a folder."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shards.errors import UsageError
from shards.files import read_source_file
from shards.licenses import license_beside
from shards.lists import Name
from shards.published.layout import image_name, latents_name, object_folder, view_of_file


@dataclass(frozen=True)
class SourceObject:
    """An object of the catalog. Its files may be missing."""

    synset: str
    object_id: str
    label: int
    split: str

    @property
    def name(self) -> Name:
        """Synset and name of the object."""
        return self.synset, self.object_id


class PublishedSource(Protocol):
    """A source of objects in the published layout. Its shares are pickled for other processes."""

    def names(self) -> list[Name]:
        """Lists the names of all objects, sorted.

        Raises:
            UsageError: There is no object.
        """

    def holds(self, item: SourceObject) -> bool:
        """Returns whether the source has any file of an object."""

    def view_count(self, item: SourceObject) -> int:
        """Returns one more than the highest number of an object's views; missing views in between count."""

    def read(self, item: SourceObject, name: str) -> bytes:
        """Reads the bytes of one of an object's files.

        Raises:
            IebenchError: The file is missing or cannot be read.
        """

    def has(self, item: SourceObject, name: str) -> bool:
        """Returns whether an object has a file of this name."""

    def share(self, objects: Sequence[SourceObject]) -> "PublishedSource":
        """Returns a source of at least these objects, which is small to pickle; by default this source."""
        return self

    def license_text(self) -> str:
        """Returns the contents of the file LICENSE beside the objects; empty if there is none."""


def make_catalog(splits: Mapping[Name, str]) -> tuple[SourceObject, ...]:
    """Makes the catalog: objects sorted by synset and name, with labels that count only these synsets."""
    labels = {synset: label for label, synset in enumerate(sorted({synset for synset, _ in splits}))}
    return tuple(
        SourceObject(synset, name, labels[synset], split) for (synset, name), split in sorted(splits.items())
    )


@dataclass(frozen=True)
class FolderSource(PublishedSource):
    """A folder with ``synset/object/image_0.jpg`` and ``latent_0.npy``."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def names(self) -> list[Name]:
        """Lists the names of all objects, sorted, without reading files.

        Raises:
            UsageError: There is no such folder, it has no object, or a name in it is not UTF-8.
        """
        if not self.folder.is_dir():
            raise UsageError(f"there is no folder {self.folder}")
        synsets = folders_in(self.folder)
        names = [(synset, name) for synset in synsets for name in folders_in(self.folder / synset)]
        if not names:
            raise UsageError(
                f"{self.folder} holds no object: expected {self.folder}/synset/object/{image_name(0)} and "
                f"{latents_name(0)}"
            )
        return names

    def holds(self, item: SourceObject) -> bool:
        return self._folder_of(item).is_dir()

    def view_count(self, item: SourceObject) -> int:
        views = (view_of_file(path.name) for path in self._folder_of(item).iterdir())
        return 1 + max((view for view in views if view is not None), default=-1)

    def has(self, item: SourceObject, name: str) -> bool:
        return (self._folder_of(item) / name).exists()

    def read(self, item: SourceObject, name: str) -> bytes:
        return read_source_file(self._folder_of(item) / name)

    def license_text(self) -> str:
        return license_beside(self.folder)

    def _folder_of(self, item: SourceObject) -> Path:
        return self.folder / object_folder(item.synset, item.object_id)


def folders_in(folder: Path) -> list[str]:
    """Lists the names of the folders inside a folder, sorted, without hidden ones.

    Raises:
        UsageError: A name is not UTF-8.
    """
    with os.scandir(folder) as entries:
        return sorted(
            checked_name(entry.name, entry.path)
            for entry in entries
            if not entry.name.startswith(".") and entry.is_dir()
        )


def checked_name(name: str, path: str) -> str:
    """Returns the name of a file or folder, or raises a UsageError if it is not UTF-8, which keys and JSON need."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise UsageError(f"the name of {os.fsencode(path)!r} is no text; rename it") from None
    return name
