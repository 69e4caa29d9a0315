"""The objects that a scan of a folder or an archive finds."""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shards.lists import Name
from shards.schema import object_key


class Listing(NamedTuple):
    """Byte ranges of one object's records in the central directory of a zip file, which need not be read whole then.

    Attributes:
        directory: Position of the directory in the file.
        shift: Bytes in the file before the archive begins, from which the archive counts its own positions.
        records: Position and length of each piece of the directory that tells of the object.
    """

    directory: int
    shift: int
    records: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class ObjectRef:
    """One object, and where its model is.

    Attributes:
        path: File of the model, or the archive that holds it.
        label: Label of the class, as soon as the object is in a catalog.
        split: ``train`` or ``val``; empty until it is in a catalog, unless the layout of the models says so.
        member: Name of the model in the archive; empty if ``path`` is the model itself.
        rescaled: True if the model is scaled to a unit diagonal, which ShapeNet's have already.
        source: The folder that the catalog is of; None for a model by itself.
        listing: Byte ranges at which the archive's directory lists it; None if there is no archive or it lacks the model.
    """

    synset: str
    object_id: str
    path: Path
    label: int = 0
    split: str = ""
    member: str = ""
    rescaled: bool = False
    source: Path | None = None
    listing: Listing | None = None

    @property
    def name(self) -> Name:
        return self.synset, self.object_id

    @property
    def key(self) -> str:
        """The object's part of its samples' keys."""
        return object_key(*self.name)
