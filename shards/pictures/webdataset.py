"""Reads pictures from WebDataset shards, with samples of a ``.jpg``, ``.png`` or ``.webp`` and a label in ``.cls``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from shards.errors import IebenchError, UsageError
from shards.images import ChannelOrder
from shards.pictures.picture import Picture
from shards.pictures.source import FoundPicture
from shards.samples import key_of
from shards.tar import Damage, read_members

_PICTURES = ("jpg", "jpeg", "png", "webp")
_BUFFER = 1 << 18


@dataclass(frozen=True)
class WebDatasetShards:
    """A ``PictureSource`` of a ``.tar`` file or a folder of them; ``val`` or ``test`` in a name means validation."""

    path: Path
    words = "WebDataset shards"
    channel_order: ChannelOrder = "rgb"

    def __str__(self) -> str:
        return str(self.path)

    def pictures(self) -> list[FoundPicture]:
        """Lists all pictures that have a label, without reading the pictures.

        Raises:
            UsageError: No sample has a picture and a label.
            IebenchError: A shard is damaged.
        """
        shards = sorted(self.path.glob("*.tar")) if self.path.is_dir() else [self.path]
        named = any(_split_in(path.name) for path in shards)
        found = [item for path in shards for item in _samples(path, _split_in(path.name) if named else None)]
        if not found:
            raise UsageError(
                f"{self.path} holds no sample with a picture ({', '.join(f'.{name}' for name in _PICTURES)}) and a .cls"
            )
        width = max(len(str(label)) for label, *_ in found)
        return [
            FoundPicture(f"{label:0{width}d}", name, split, location)
            for label, name, split, location in found
        ]

    def class_names(self) -> Mapping[str, str]:
        """Returns no names, because the shards have only labels."""
        return {}

    def read(self, item: Picture) -> bytes:
        """Reads the bytes of a picture.

        Raises:
            IebenchError: The shard cannot be read.
        """
        name, start, size = str(item.location[0]), int(item.location[1]), int(item.location[2])
        path = self.path / name if self.path.is_dir() else self.path
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(size)
        except OSError as error:
            raise IebenchError(f"{name} cannot be read: {error.strerror}") from None

    def license_text(self) -> str:
        """Returns an empty text, as the shards state no licence."""
        return ""


_Sample = tuple[int, str, str | None, tuple[str | int, ...]]


def _samples(path: Path, split: str | None) -> list[_Sample]:
    """Lists label, name, split and location of each picture in a shard that has a label."""
    labels: dict[str, int] = {}
    locations: dict[str, tuple[str | int, ...]] = {}
    try:
        with path.open("rb", buffering=_BUFFER) as stream:
            for member in read_members(stream, lambda number, name: name.endswith(".cls")):
                if isinstance(member, Damage):
                    raise IebenchError(f"shard {path} is damaged ({member.message}); fetch it again")
                key = key_of(member.name)
                extension = member.name[len(key) + 1 :].lower()
                if extension == "cls":
                    labels[key] = _label(member.data, path, key)
                elif extension in _PICTURES:
                    locations[key] = (path.name, member.start, member.size)
    except OSError as error:
        raise IebenchError(f"shard {path} cannot be read ({error.strerror})") from None
    return [
        (labels[key], f"{path.stem}/{key}", split, location)
        for key, location in locations.items()
        if key in labels
    ]


def _label(data: bytes, path: Path, key: str) -> int:
    try:
        label = int(data)
    except ValueError:
        label = -1
    if label < 0:
        raise UsageError(
            f"shard {path}, sample {key}: its .cls is {data[:20]!r}; it has to be a number from 0 on"
        )
    return label


def _split_in(name: str) -> str | None:
    words = name.lower()
    if "val" in words or "test" in words:
        return "val"
    return "train" if "train" in words else None
