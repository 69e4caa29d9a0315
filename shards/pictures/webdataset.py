"""Reads pictures from WebDataset shards, with samples of a ``.jpg``, ``.png`` or ``.webp`` and a label in ``.cls``."""

from pathlib import Path

from shards.errors import IebenchError, UsageError
from shards.pictures.picture import Picture
from shards.pictures.source import FoundPicture, PictureSource
from shards.samples import key_of
from shards.tar import Damage, read_members

_PICTURES = ("jpg", "jpeg", "png", "webp")
_BUFFER = 1 << 18


class WebDatasetShards(PictureSource):
    """A ``.tar`` file or a folder of them, without names of classes; ``val`` or ``test`` in a name means validation."""

    words = "WebDataset shards"

    def pictures(self) -> list[FoundPicture]:
        """Lists all pictures that have a label, without reading the pictures.

        Raises:
            UsageError: No sample has a picture and a label.
            IebenchError: A shard is damaged.
        """
        shards = sorted(self.path.glob("*.tar")) if self.path.is_dir() else [self.path]
        found = [item for path in shards for item in _samples(path)]
        if not found:
            raise UsageError(
                f"{self.path} holds no sample with a picture ({', '.join(f'.{name}' for name in _PICTURES)}) and a .cls"
            )
        width = max(len(item.synset) for item in found)
        return [item._replace(synset=item.synset.zfill(width)) for item in found]

    def read(self, item: Picture) -> bytes:
        name, start, size = str(item.location[0]), int(item.location[1]), int(item.location[2])
        path = self.path / name if self.path.is_dir() else self.path
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                return stream.read(size)
        except OSError as error:
            raise IebenchError(f"{name} cannot be read: {error.strerror}") from None


def _samples(path: Path) -> list[FoundPicture]:
    """Lists each picture in a shard that has a label, which is the picture's class."""
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
        FoundPicture(str(labels[key]), f"{path.stem}/{key}", _split_in(path.name), location)
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
