"""What a look into a folder or an archive yields."""

from pathlib import Path
from typing import NamedTuple


class FoundModel(NamedTuple):
    """An object and where its model is.

    Attributes:
        synset: the class.
        object_id: its name within the class.
        path: the model's file, or the archive that holds it.
        member: the model's name in the archive; empty where ``path`` is the model itself.
        split: ``train`` or ``val`` where the layout says so, else empty.
        rescaled: True if models of this layout come in any size and are scaled to a unit diagonal.
    """

    synset: str
    object_id: str
    path: Path
    member: str = ""
    split: str = ""
    rescaled: bool = False
