"""Defines what a source of pictures is, and makes the catalog of its pictures."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from shards.errors import UsageError
from shards.images import ChannelOrder
from shards.pictures.picture import Picture
from shards.schema import split_of


class FoundPicture(NamedTuple):
    """A picture that a source lists; a split of None is chosen by a hash."""

    synset: str
    object_id: str
    split: str | None
    location: tuple[str | int, ...]


@dataclass(frozen=True)
class PictureSource(ABC):
    """A source of pictures with their classes, in a folder or a file. It is pickled for other processes."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    @abstractmethod
    def words(self) -> str:
        """Description of the source, in a few words."""

    @property
    def channel_order(self) -> ChannelOrder:
        """Order of the channels in the source's JPEGs."""
        return "rgb"

    @abstractmethod
    def pictures(self) -> list[FoundPicture]:
        """Lists all pictures, in any order.

        Raises:
            UsageError: There are no pictures, or they have no classes.
        """

    def class_names(self) -> Mapping[str, str]:
        """Returns the names of classes by synset; a class that is missing is called by its synset."""
        return {}

    @abstractmethod
    def read(self, item: Picture) -> bytes | np.ndarray:
        """Reads a picture: its bytes, or its pixels (height, width, 3) uint8 RGB.

        Raises:
            IebenchError: The picture cannot be read.
        """

    def license_text(self) -> str:
        """Returns the licence that the source states; empty if it states none."""
        return ""


def make_catalog(found: Iterable[FoundPicture], source: object) -> tuple[Picture, ...]:
    """Makes the catalog: sorts pictures by class and name, and adds labels and splits.

    Raises:
        UsageError: There are fewer than two pictures, or two have the same name.
    """
    ordered = sorted(found, key=lambda item: (item.synset, item.object_id))
    if len(ordered) < 2:
        raise UsageError(f"{source} holds one picture; nothing can be learned from less than two")
    for first, second in pairwise(ordered):
        if first[:2] == second[:2]:
            raise UsageError(f"{source} holds two pictures {first.synset}/{first.object_id}; rename one")
    labels = {synset: label for label, synset in enumerate(sorted({item.synset for item in ordered}))}
    return tuple(
        Picture(
            item.synset,
            item.object_id,
            labels[item.synset],
            item.split or split_of(item.synset, item.object_id),
            item.location,
        )
        for item in ordered
    )
