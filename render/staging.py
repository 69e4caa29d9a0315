"""Finished objects on their way into a shard.

While a dataset is being rendered, ``OUT/.render`` holds one tar and one record per finished object, one
record per sealed shard, the settings, the catalog and the logs. Each file appears whole or not at all, so the
folder can be left at any moment and taken up again. When the dataset is whole, the folder goes.
"""

import fcntl
import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from render.catalog import ObjectRef
from shards.errors import UsageError
from shards.files import atomic_write, write_text
from shards.locks import FolderLock, one_at_a_time, removed_name
from shards.pixels import PixelSums
from shards.same_settings import SETTINGS_NAME
from shards.samples import Sample
from shards.schema import INDEX_NAME, parse_index
from shards.sealed import SealedShards
from shards.shard_plan import ShardPlan
from shards.writer import encode_members, end_of_archive

FOLDER_NAME = ".render"
_DEVICES_NAME = "devices.json"
LONGEST_NAME = 200  # file systems take 255 bytes, with what is put before and behind a name


class StagedObject(BaseModel):
    """The record of a finished object: sums over its views, and the kind of device that rendered it.

    Attributes:
        size: Bytes of its tar that go into a shard: all but the end of an archive.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pixels: PixelSums
    size: int
    device: str


class Staging:
    """The ``.render`` folder of one dataset, held by one process, or by several that share the work.

    Args:
        out: Folder of the dataset, which is made if it does not exist.
        shared: True if other processes may work in it too.

    Raises:
        UsageError: Another process holds it.
    """

    def __init__(self, out: Path, shared: bool = False) -> None:
        self.out = out
        self.folder = out / FOLDER_NAME
        kind, what = (fcntl.LOCK_SH, "all of") if shared else (fcntl.LOCK_EX, "into")
        self._lock = FolderLock(self.folder, kind, f"another process is rendering {what} {out}")
        for name in ("objects", "logs", "failures", "claims"):
            (self.folder / name).mkdir(exist_ok=True)
        self.records = self.folder / "shards"
        self.shards = SealedShards(out, self.records)
        if not shared:  # nobody else is writing: what is unfinished was left by a process that was killed
            for path in out.glob(".*.part"):
                path.unlink()
            shutil.rmtree(removed_name(self.folder), ignore_errors=True)

    def release(self) -> None:
        """Lets another process have the folder."""
        self._lock.release()

    def remove(self) -> None:
        """Lets go of the folder and deletes it: the dataset is whole."""
        self._lock.remove()

    def begin(self, settings: str, shards: Sequence[ShardPlan], check: Callable[[], None]) -> None:
        """Records the dataset's settings, unless another process has done so with others.

        Args:
            settings: Settings of the run, as JSON.
            shards: The shards of the dataset; the first process takes over what a finished dataset says of them.
            check: Function that raises an error if the folder holds something else.
        """
        with one_at_a_time(self.folder):
            check()
            path = self.folder / SETTINGS_NAME
            if not path.is_file():
                self.shards.adopt(shards)
            write_text(path, settings)

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
            UsageError: Another kind of device began the dataset, and mixing was not asked for.
        """
        with one_at_a_time(self.folder):
            there = self.devices()
            if there and kind not in there and not mixed:
                raise UsageError(
                    f"{self.out} was begun on {' and '.join(there)} and would be continued on {kind}, whose pixels differ; "
                    f"choose --device {there[0]}, or accept the difference with --mix-devices"
                )
            write_text(self.folder / _DEVICES_NAME, json.dumps(sorted({*there, kind})))

    def held_among(self, items: Sequence[ObjectRef]) -> set[ObjectRef]:
        """The objects whose views are all there; the folder is read once, however many are asked for."""
        there = {path.name for path in (self.folder / "objects").iterdir()}
        return {item for item in items if _staged_file(self.folder, item, ".json").name in there}

    def holds(self, item: ObjectRef) -> bool:
        """Whether the object's views are all there."""
        return _staged_file(self.folder, item, ".json").is_file()

    def staged(self, item: ObjectRef) -> StagedObject:
        """The record of a finished object."""
        return StagedObject.model_validate_json(_staged_file(self.folder, item, ".json").read_text())

    def members(self, item: ObjectRef) -> bytes:
        """The samples of a finished object as they stand in a shard."""
        with _staged_file(self.folder, item, ".tar").open("rb") as stream:
            return stream.read(self.staged(item).size)

    def forget(self, items: Iterable[ObjectRef]) -> None:
        """Deletes finished objects that now stand in a shard."""
        for item in items:
            tar, record = staged_files(self.folder, item)
            record.unlink(missing_ok=True)
            tar.unlink(missing_ok=True)


def stage_object(
    folder: Path, item: ObjectRef, samples: Iterable[Sample], pixels: PixelSums, device: str
) -> None:
    """Keeps a finished object: first its samples, then the record that says they are whole."""
    members = encode_members(samples)
    tar, record = staged_files(folder, item)
    with atomic_write(tar) as stream:
        stream.write(members)
        stream.write(end_of_archive(len(members)))
    staged = StagedObject(pixels=pixels, size=len(members), device=device)
    write_text(record, staged.model_dump_json())


def staged_files(folder: Path, item: ObjectRef) -> tuple[Path, Path]:
    """Returns the paths of a finished object's tar and record."""
    return _staged_file(folder, item, ".tar"), _staged_file(folder, item, ".json")


def _staged_file(folder: Path, item: ObjectRef, suffix: str) -> Path:
    """A file named by the object's key or, where file systems would not take it, by a digest of it."""
    name = item.key if len(item.key) <= LONGEST_NAME else hashlib.sha256(item.key.encode()).hexdigest()
    return folder / "objects" / f"{name}{suffix}"
