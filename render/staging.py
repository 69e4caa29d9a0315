"""Finished objects on their way into a shard.

While a dataset is being rendered, ``OUT/.render`` holds one tar and one record per finished object, one
record per sealed shard, the settings and the logs. Each file appears whole or not at all, so the folder can
be left at any moment and taken up again. When the dataset is whole, the folder goes.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from render.catalog import ObjectRef
from render.locks import FolderLock
from render.part import Part
from shards.errors import UsageError
from shards.files import atomic_write, write_text
from shards.locks import one_at_a_time
from shards.pixels import PixelSums
from shards.reader import read_samples
from shards.samples import Sample
from shards.schema import INDEX_NAME, parse_index
from shards.sealed import SealedShards
from shards.writer import write_samples

FOLDER_NAME = ".render"
SETTINGS_NAME = "settings.json"
_DEVICES_NAME = "devices.json"
_REMOVED_NAME = ".render-removed"
LONGEST_NAME = 200  # file systems take 255 bytes, with what is put before and behind a name


class Staging:
    """The ``.render`` folder of one dataset, held by one process at a time, or by one for each part.

    Args:
        out: the dataset's folder; it is made where it does not exist.
        part: what this process renders; None means all.

    Raises:
        UsageError: another process holds it.
    """

    def __init__(self, out: Path, part: Part | None = None) -> None:
        self.out = out
        self.folder = out / FOLDER_NAME
        self._lock = FolderLock(self.folder, part)
        for name in ("objects", "logs", "failures"):
            (self.folder / name).mkdir(exist_ok=True)
        self.records = self.folder / "shards"
        self.shards = SealedShards(out, self.records)
        if part is None:
            self._clean_up()

    def release(self) -> None:
        """Lets another process have the folder."""
        self._lock.release()

    def remove(self) -> None:
        """Lets go of the folder and deletes it: the dataset is whole.

        NFS keeps a file that is deleted while it is open, under another name in its folder, which then cannot be
        removed. So the lock is closed first; the folder has another name by then, so that nobody finds half of it.
        """
        done = self.out / _REMOVED_NAME
        self.folder.rename(done)
        self._lock.release()
        shutil.rmtree(
            done, ignore_errors=True
        )  # a file that another client still holds goes with the next run

    def _clean_up(self) -> None:
        """Removes what processes left that were killed while they wrote."""
        for path in self.out.glob(".*.part"):
            path.unlink()
        shutil.rmtree(self.out / _REMOVED_NAME, ignore_errors=True)

    def begin(self, settings: str, check: Callable[[], None]) -> None:
        """Records the dataset's settings, unless another part has done so with others.

        Args:
            settings: Settings of the run, as JSON.
            check: raises where the folder holds something else.
        """
        with one_at_a_time(self.folder):
            check()
            write_text(self.settings_path, settings)

    def devices(self) -> tuple[str, ...]:
        """The kinds of devices that have rendered so far; empty where nothing has, or nobody recorded it."""
        path = self.folder / _DEVICES_NAME
        if path.is_file():
            return tuple(json.loads(path.read_text()))
        index = self.out / INDEX_NAME
        return tuple(parse_index(index).renderer.get("devices", ())) if index.is_file() else ()

    def record_device(self, kind: str, mixed: bool) -> None:
        """Records what is about to render: bytes are the same only on devices of one kind.

        Raises:
            UsageError: another kind of device began the dataset, and mixing was not asked for.
        """
        with one_at_a_time(self.folder):
            there = self.devices()
            if there and kind not in there and not mixed:
                raise UsageError(
                    f"{self.out} was begun on {' and '.join(there)} and would go on on {kind}, whose pixels differ; "
                    f"choose --device {there[0]}, or --mix-devices if that is all the same"
                )
            write_text(self.folder / _DEVICES_NAME, json.dumps(sorted({*there, kind})))

    def part_failures(self) -> tuple[Path, ...]:
        """The lists of failures of all parts so far."""
        return tuple(sorted((self.folder / "failures").glob("*.jsonl")))

    def failures_path(self, part: Part) -> Path:
        """Where a part lists its failures."""
        return self.folder / "failures" / f"{part.file_name}.jsonl"

    @property
    def settings_path(self) -> Path:
        """Where the settings of the dataset under way are."""
        return self.folder / SETTINGS_NAME

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
