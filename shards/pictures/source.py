"""Defines the interface of sources of pictures, and makes the catalog of their pictures."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from shards.errors import UsageError
from shards.images import ChannelOrder
from shards.pictures.picture import Picture
from shards.schema import split_of


class FoundPicture(NamedTuple):
    """A picture that a source lists.

    Attributes:
        synset: Class of the picture.
        object_id: Name of the picture within its class.
        split: ``train`` or ``val``; None to choose by a hash.
        location: Location in the source.
    """

    synset: str
    object_id: str
    split: str | None
    location: tuple[str | int, ...]


class PictureSource(Protocol):
    """A source of pictures with their classes. It is pickled for other processes."""

    @property
    def words(self) -> str:
        """Description of the source, in a few words."""

    @property
    def channel_order(self) -> ChannelOrder:
        """Order of the channels in the source's JPEGs."""

    def pictures(self) -> list[FoundPicture]:
        """Lists all pictures, in any order.

        Raises:
            UsageError: There are no pictures, or they have no classes.
        """

    def class_names(self) -> Mapping[str, str]:
        """Returns the names of classes by synset; a class that is missing is called by its synset."""

    def read(self, item: Picture) -> bytes | np.ndarray:
        """Reads a picture: its bytes, or its pixels (height, width, 3) uint8 RGB.

        Raises:
            IebenchError: The picture cannot be read.
        """

    def license_text(self) -> str:
        """Returns the licence that the source states; empty if it states none."""


def make_catalog(found: Iterable[FoundPicture], source: object) -> tuple[Picture, ...]:
    """Makes the catalog: sorts pictures by class and name, and adds labels and splits.

    Args:
        found: Pictures that the source lists.
        source: Source of the pictures, for error messages.

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
