"""Finished objects on their way into a shard.

While a dataset is being rendered, ``OUT/.render`` holds one tar and one record per finished object, one
record per sealed shard, the settings and the logs. Each file appears whole or not at all, so the folder can
be left at any moment and taken up again. When the dataset is whole, the folder goes.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from render.catalog import ObjectRef
from shards.errors import UsageError
from shards.files import atomic_write, write_text
from shards.reader import read_samples
from shards.schema import ShardInfo
from shards.writer import Sample, write_samples

FOLDER_NAME = ".render"
FAILURES_NAME = "failures.jsonl"
LONGEST_NAME = 200  # file systems take 255 bytes, with what is put before and behind a name
Channels = tuple[float, float, float]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PixelSums(_Record):
    """Exact sums over decoded views, from which mean and deviation follow in any order of adding."""

    pixels: int = 0
    sums: tuple[int, int, int] = (0, 0, 0)
    squares: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def of(cls, image: np.ndarray) -> "PixelSums":
        """Sums of one (height, width, 3) uint8 image."""
        flat = image.reshape(-1, 3).astype(np.int64)
        red, green, blue = flat.sum(axis=0).tolist()
        red_square, green_square, blue_square = (flat**2).sum(axis=0).tolist()
        return cls(pixels=len(flat), sums=(red, green, blue), squares=(red_square, green_square, blue_square))

    def __add__(self, other: "PixelSums") -> "PixelSums":
        """Sums over both."""
        return PixelSums(
            pixels=self.pixels + other.pixels,
            sums=_added(self.sums, other.sums),
            squares=_added(self.squares, other.squares),
        )

    def mean_and_std(self) -> tuple[Channels, Channels]:
        """Per channel, of values in [0, 1], to six digits; a deviation is at least one grey level."""
        pixels = max(self.pixels, 1)
        mean = np.array(self.sums) / pixels
        variance = np.maximum(np.array(self.squares) / pixels - mean**2, 1.0)
        return _channels(mean / 255), _channels(np.sqrt(variance) / 255)


def _added(first: tuple[int, int, int], second: tuple[int, int, int]) -> tuple[int, int, int]:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2]


def _channels(values: np.ndarray) -> Channels:
    red, green, blue = np.round(values, 6).tolist()
    return red, green, blue


class Failure(_Record):
    """One line of ``failures.jsonl``: an object that could not be rendered, and why."""

    synset: str
    object: str
    reason: str
    attempts: int


class SealedShard(_Record):
    """What is known of a shard once it is sealed."""

    info: ShardInfo
    pixels: PixelSums | None = None  # None where an earlier, finished run sealed it


class Failures:
    """``failures.jsonl``: kept in catalogue order, written anew with each failure.

    Whoever deletes the file asks for its objects to be tried again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._by_object: dict[tuple[str, str], Failure] = {}
        if path.is_file():
            for failure in _read_failures(path):
                self._by_object[failure.synset, failure.object] = failure

    def __contains__(self, item: ObjectRef) -> bool:
        return (item.synset, item.object_id) in self._by_object

    def __iter__(self) -> Iterator[Failure]:
        return iter(sorted(self._by_object.values(), key=lambda failure: (failure.synset, failure.object)))

    def __len__(self) -> int:
        return len(self._by_object)

    def add(self, item: ObjectRef, reason: str, attempts: int) -> None:
        """Records that an object could not be rendered."""
        failure = Failure(synset=item.synset, object=item.object_id, reason=reason, attempts=attempts)
        self._by_object[item.synset, item.object_id] = failure
        self.write()

    def write(self) -> None:
        """Writes the file; it is empty where nothing failed."""
        write_text(self._path, "".join(failure.model_dump_json() + "\n" for failure in self))


def _read_failures(path: Path) -> list[Failure]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return [Failure.model_validate_json(line) for line in lines if line]
    except ValueError:  # pydantic's errors and those of UTF-8 are of it
        raise UsageError(
            f"{path} cannot be read; delete it to have the objects that failed tried again"
        ) from None


class Staging:
    """The ``.render`` folder of one dataset, held by one process at a time.

    Args:
        out: the dataset's folder; it is made where it does not exist.

    Raises:
        UsageError: another process holds it.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.folder = out / FOLDER_NAME
        for name in ("objects", "shards", "logs"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise UsageError(
                f"another process is rendering into {out}; wait for it or choose another folder"
            ) from None

    def release(self) -> None:
        """Lets another process have the folder."""
        os.close(self._lock)

    def remove(self) -> None:
        """Deletes the folder: the dataset is whole."""
        shutil.rmtree(self.folder)

    @property
    def settings_path(self) -> Path:
        """Where the settings of the dataset under way are."""
        return self.folder / "settings.json"

    def holds(self, item: ObjectRef) -> bool:
        """Whether the object's views are all there."""
        return _record_path(self.folder, item).is_file()

    def samples(self, items: Iterable[ObjectRef]) -> Iterator[Sample]:
        """The samples of finished objects, in order."""
        for item in items:
            yield from read_samples(_tar_path(self.folder, item))

    def pixels(self, items: Iterable[ObjectRef]) -> PixelSums:
        """The pixel sums of finished objects."""
        records = (
            PixelSums.model_validate_json(_record_path(self.folder, item).read_text()) for item in items
        )
        return sum(records, start=PixelSums())

    def forget(self, items: Iterable[ObjectRef]) -> None:
        """Deletes finished objects that now stand in a shard."""
        for item in items:
            _record_path(self.folder, item).unlink(missing_ok=True)
            _tar_path(self.folder, item).unlink(missing_ok=True)

    def record_shard(self, shard: SealedShard) -> None:
        """Records that a shard is sealed."""
        write_text(self.folder / "shards" / f"{shard.info.name}.json", shard.model_dump_json())

    def sealed(self, name: str) -> SealedShard | None:
        """The record of a sealed shard whose file is there at its full size."""
        record = self.folder / "shards" / f"{name}.json"
        if not record.is_file():
            return None
        shard = SealedShard.model_validate_json(record.read_text())
        path = self.out / name
        return shard if path.is_file() and path.stat().st_size == shard.info.bytes else None


def stage_object(folder: Path, item: ObjectRef, samples: Iterable[Sample], pixels: PixelSums) -> None:
    """Keeps a finished object: first its samples, then the record that says they are whole."""
    with atomic_write(_tar_path(folder, item)) as stream:
        write_samples(stream, samples)
    write_text(_record_path(folder, item), pixels.model_dump_json())


def _tar_path(folder: Path, item: ObjectRef) -> Path:
    return folder / "objects" / f"{_file_name(item)}.tar"


def _record_path(folder: Path, item: ObjectRef) -> Path:
    return folder / "objects" / f"{_file_name(item)}.json"


def _file_name(item: ObjectRef) -> str:
    """The object's key; where file systems would not take it, a digest of it."""
    return item.key if len(item.key) <= LONGEST_NAME else hashlib.sha256(item.key.encode()).hexdigest()
