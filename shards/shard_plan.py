"""Plans which objects of a dataset go into which shard."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar


class NamedObject(Protocol):
    """Anything that has the name of an object."""

    @property
    def synset(self) -> str:
        """Synset of the object's class."""

    @property
    def object_id(self) -> str:
        """Name of the object within its class."""


class CatalogEntry(NamedObject, Protocol):
    """An object of a catalog, which is the list of all objects of a dataset."""

    @property
    def label(self) -> int:
        """Label of the object's class."""

    @property
    def split(self) -> str:
        """Split of the object: ``train`` or ``val``."""


AnyCatalogEntry = TypeVar("AnyCatalogEntry", bound=CatalogEntry)


@dataclass(frozen=True)
class ShardPlan(Generic[AnyCatalogEntry]):
    """A shard to be made, with its objects in order."""

    name: str
    split: str
    objects: tuple[AnyCatalogEntry, ...]


def plan_shards(
    objects: Sequence[AnyCatalogEntry], objects_per_shard: int
) -> tuple[ShardPlan[AnyCatalogEntry], ...]:
    """Divides the objects of each split into shards, in the order of the catalog."""
    shards = []
    for split in ("train", "val"):
        members = [item for item in objects if item.split == split]
        for number, start in enumerate(range(0, len(members), objects_per_shard)):
            chosen = tuple(members[start : start + objects_per_shard])
            shards.append(ShardPlan(f"{split}-{number:06d}.tar", split, chosen))
    return tuple(shards)


def fingerprint(objects: Iterable[CatalogEntry]) -> str:
    """Returns a SHA-256 over the catalog's objects, labels and splits."""
    lines = [f"{item.synset}/{item.object_id} {item.label} {item.split}\n" for item in objects]
    return hashlib.sha256("".join(lines).encode()).hexdigest()
