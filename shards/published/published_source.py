"""Where published views are read from: a folder, or an archive as it was downloaded."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from shards.errors import IebenchError, UsageError
from shards.lists import Name
from shards.published.layout import image_name, latents_name, object_place, view_of_file


@dataclass(frozen=True)
class SourceObject:
    """An object of the catalogue, whether all of its files are there or not."""

    synset: str
    object_id: str
    label: int
    split: str

    @property
    def name(self) -> Name:
        """Synset and object."""
        return self.synset, self.object_id


class PublishedSource(Protocol):
    """Objects in the published layout; what one process needs of it can be handed to it."""

    def names(self) -> list[Name]:
        """The names of all objects, sorted."""

    def holds(self, item: SourceObject) -> bool:
        """Whether there is anything of an object."""

    def view_count(self, item: SourceObject) -> int:
        """One more than the highest number of a view of which there is a file: what is missing between is missing."""

    def read(self, item: SourceObject, name: str) -> bytes:
        """The bytes of one of an object's files.

        Raises:
            IebenchError: it is missing, or cannot be read.
        """

    def has(self, item: SourceObject, name: str) -> bool:
        """Whether an object has a file of this name."""

    def share(self, objects: Sequence[SourceObject]) -> "PublishedSource":
        """A source that knows of these objects at least."""

    def license_text(self) -> str:
        """What stands in the file LICENSE beside the objects; empty where there is none."""


def catalogue(splits: Mapping[Name, str]) -> tuple[SourceObject, ...]:
    """Objects by their splits, sorted by synset and object, with the labels of their own synsets."""
    labels = {synset: label for label, synset in enumerate(sorted({synset for synset, _ in splits}))}
    return tuple(
        SourceObject(synset, name, labels[synset], split) for (synset, name), split in sorted(splits.items())
    )


@dataclass(frozen=True)
class FolderSource:
    """A folder of ``synset/object/image_0.jpg`` and ``latent_0.npy``."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def names(self) -> list[Name]:
        """As of ``PublishedSource``; files are not looked at.

        Raises:
            UsageError: there is no such folder, or it holds no object, or a name in it is no text.
        """
        if not self.folder.is_dir():
            raise UsageError(f"there is no folder {self.folder}")
        names = sorted(
            (synset, name) for synset in _folders(self.folder) for name in _folders(self.folder / synset)
        )
        if not names:
            raise UsageError(
                f"{self.folder} holds no object: expected {self.folder}/synset/object/{image_name(0)} and "
                f"{latents_name(0)}"
            )
        return names

    def holds(self, item: SourceObject) -> bool:
        """As of ``PublishedSource``."""
        return self._place(item).is_dir()

    def view_count(self, item: SourceObject) -> int:
        """As of ``PublishedSource``."""
        views = (view_of_file(path.name) for path in self._place(item).iterdir())
        return 1 + max((view for view in views if view is not None), default=-1)

    def has(self, item: SourceObject, name: str) -> bool:
        """As of ``PublishedSource``."""
        return (self._place(item) / name).exists()

    def read(self, item: SourceObject, name: str) -> bytes:
        """As of ``PublishedSource``."""
        path = self._place(item) / name
        try:
            if not path.is_file():  # a pipe would have the reader wait for ever
                raise IebenchError(f"{name} is {'no file' if path.exists() else 'missing'}")
            return path.read_bytes()
        except OSError as error:
            raise IebenchError(f"{name} cannot be read: {error.strerror}") from None

    def share(self, objects: Sequence[SourceObject]) -> "FolderSource":
        """As of ``PublishedSource``."""
        return self

    def license_text(self) -> str:
        """As of ``PublishedSource``."""
        path = self.folder / "LICENSE"
        return path.read_text("utf-8", "replace") if path.is_file() else ""

    def _place(self, item: SourceObject) -> Path:
        return self.folder / object_place(item.synset, item.object_id)


def _folders(folder: Path) -> Iterable[str]:
    """Names of the folders in a folder, but for hidden ones."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") or not entry.is_dir():
                continue
            try:
                entry.name.encode()  # names go into keys and JSON: a file name may be any bytes
            except UnicodeEncodeError:
                raise UsageError(f"the name of {os.fsencode(entry.path)!r} is no text; rename it") from None
            yield entry.name
