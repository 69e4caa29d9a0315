"""The objects that a dataset is to hold, and the shards they go to."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """An object by its name."""

    @property
    def synset(self) -> str:
        """Of its class."""

    @property
    def object_id(self) -> str:
        """Its name within the class."""


class CatalogEntry(Named, Protocol):
    """An object of a catalogue."""

    @property
    def label(self) -> int:
        """Of its class."""

    @property
    def split(self) -> str:
        """``train`` or ``val``."""


AnyCatalogEntry = TypeVar("AnyCatalogEntry", bound=CatalogEntry)


@dataclass(frozen=True)
class ShardPlan(Generic[AnyCatalogEntry]):
    """A shard and the objects that belong in it, in order."""

    name: str
    split: str
    objects: tuple[AnyCatalogEntry, ...]


def plan_shards(
    objects: Sequence[AnyCatalogEntry], objects_per_shard: int
) -> tuple[ShardPlan[AnyCatalogEntry], ...]:
    """Puts the objects of each split, in catalogue order, into shards."""
    shards = []
    for split in ("train", "val"):
        members = [item for item in objects if item.split == split]
        for number, start in enumerate(range(0, len(members), objects_per_shard)):
            chosen = tuple(members[start : start + objects_per_shard])
            shards.append(ShardPlan(f"{split}-{number:06d}.tar", split, chosen))
    return tuple(shards)


def fingerprint(objects: Iterable[CatalogEntry]) -> str:
    """SHA-256 over the catalogue's objects, labels and splits."""
    lines = [f"{item.synset}/{item.object_id} {item.label} {item.split}\n" for item in objects]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
