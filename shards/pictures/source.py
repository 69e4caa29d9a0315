"""Where pictures are read from."""

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np

from shards.errors import UsageError
from shards.images import ChannelOrder
from shards.pictures.picture import Picture
from shards.schema import split_of


class FoundPicture(NamedTuple):
    """A picture of a source.

    Attributes:
        synset: Its class.
        object_id: Its name within the class.
        split: ``train`` or ``val``; None where a hash decides.
        place: Where the source finds it.
    """

    synset: str
    object_id: str
    split: str | None
    place: tuple[str | int, ...]


class PictureSource(Protocol):
    """Pictures with their classes; can be handed to other processes."""

    @property
    def words(self) -> str:
        """What it is, in a few words."""

    @property
    def channel_order(self) -> ChannelOrder:
        """Order of the channels in its JPEGs."""

    def pictures(self) -> list[FoundPicture]:
        """All pictures, in any order.

        Raises:
            UsageError: there is none, or they have no classes.
        """

    def class_names(self) -> Mapping[str, str]:
        """Names of classes by synset, where they are others than the synset."""

    def read(self, item: Picture) -> bytes | np.ndarray:
        """The bytes of a picture, or its pixels.

        Raises:
            IebenchError: it cannot be read.
        """

    def license_text(self) -> str:
        """The licence that the source states; empty where it states none."""


def catalogue(found: Iterable[FoundPicture], source: object) -> tuple[Picture, ...]:
    """Pictures sorted by class and name, with labels and splits.

    Args:
        found: What the source holds.
        source: The source, for the errors.

    Raises:
        UsageError: there is one picture, or two have one name.
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
            item.place,
        )
        for item in ordered
    )
