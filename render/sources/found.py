"""The objects that a scan of a folder or an archive finds."""

from pathlib import Path
from typing import NamedTuple


class FoundModel(NamedTuple):
    """An object and where its model is.

    Attributes:
        synset: Synset of the class.
        object_id: Name of the object within the class.
        path: File of the model, or the archive that holds it.
        member: Name of the model in the archive; empty if ``path`` is the model itself.
        split: ``train`` or ``val`` where the layout says so, else empty.
        rescaled: True if models of this layout come in any size and are scaled to a unit diagonal.
    """

    synset: str
    object_id: str
    path: Path
    member: str = ""
    split: str = ""
    rescaled: bool = False
