"""The objects that a scan of a folder or an archive finds."""

from pathlib import Path
from typing import NamedTuple


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


class FoundModel(NamedTuple):
    """An object and where its model is.

    Attributes:
        synset: Synset of the class.
        object_id: Name of the object within the class.
        path: File of the model, or the archive that holds it.
        member: Name of the model in the archive; empty if ``path`` is the model itself.
        split: ``train`` or ``val`` where the layout says so, else empty.
        rescaled: True if models of this layout come in any size and are scaled to a unit diagonal.
        listing: Where the archive lists it; None where ``path`` is the model itself, or the archive lacks the model.
    """

    synset: str
    object_id: str
    path: Path
    member: str = ""
    split: str = ""
    rescaled: bool = False
    listing: Listing | None = None
