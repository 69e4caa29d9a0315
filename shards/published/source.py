"""A folder in the published layout: its objects, and the files of one view."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.errors import IebenchError, UsageError
from shards.lists import Name
from shards.published.layout import image_name, latents_name


@dataclass(frozen=True)
class SourceObject:
    """An object of the catalogue, whether all of its files are there or not."""

    synset: str
    object_id: str
    label: int
    split: str


def scan_names(source: Path) -> list[Name]:
    """The names of the objects in a folder, sorted; their files are not looked at.

    Raises:
        UsageError: there is no such folder, or it holds no object, or a name in it is no text.
    """
    if not source.is_dir():
        raise UsageError(f"there is no folder {source}")
    names = sorted((synset, name) for synset in _folders(source) for name in _folders(source / synset))
    if not names:
        raise UsageError(
            f"{source} holds no object: expected {source}/synset/object/{image_name(0)} and {latents_name(0)}"
        )
    return names


def catalogue(splits: Mapping[Name, str]) -> tuple[SourceObject, ...]:
    """Objects by their splits, sorted by synset and object, with the labels of their own synsets."""
    labels = {synset: label for label, synset in enumerate(sorted({synset for synset, _ in splits}))}
    return tuple(
        SourceObject(synset, name, labels[synset], split) for (synset, name), split in sorted(splits.items())
    )


def read_file(folder: Path, name: str) -> bytes:
    """The bytes of one of an object's files.

    Raises:
        IebenchError: it is missing, or cannot be read.
    """
    path = folder / name
    try:
        if not path.is_file():  # a pipe would have the reader wait for ever
            raise IebenchError(f"{name} is {'no file' if path.exists() else 'missing'}")
        return path.read_bytes()
    except OSError as error:
        raise IebenchError(f"{name} cannot be read: {error.strerror}") from None


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
