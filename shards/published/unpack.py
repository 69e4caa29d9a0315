"""Writes a dataset in the published layout, with the lists of its splits.

A run can be stopped at any moment and started again: a file that is there with the bytes that it should have is
not written again. ``OUT/.unpack`` says which dataset the folder holds.
"""

import contextlib
import io
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shards.errors import IebenchError, UsageError
from shards.files import atomic_write, write_text
from shards.locks import sole_process
from shards.parallel import run_parallel
from shards.published.latent_format import LatentFormat
from shards.published.layout import LISTS, image_name, latents_name, object_place
from shards.published.pack_settings import latent_format_of
from shards.reader import View, parse_view, whole_shard
from shards.samples import is_unchanged
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo

FOLDER_NAME = ".unpack"


@dataclass(frozen=True)
class _Job:
    dataset: Path
    out: Path
    shard: ShardInfo
    latents: LatentFormat


@dataclass(frozen=True)
class _Done:
    """The objects of a shard that is unpacked: places and labels."""

    shard: ShardInfo
    objects: dict[str, int]


def unpack(
    dataset: Path,
    index: DatasetIndex,
    out: Path,
    workers: int,
    advance: Callable[[int], object] = lambda views: None,
) -> None:
    """Writes ``synset/object/image_0.jpg`` and ``latent_0.npy`` of every view, and the lists of the splits.

    JPEG bytes are those of the shards; latents are written in the format that they were packed from, or else as
    float64. Passes have no place in this layout and are left out.

    Args:
        dataset: its folder.
        index: its index.
        out: the folder to write; new, or begun with the same dataset.
        workers: processes, each of which unpacks a shard at a time.
        advance: told the number of views of each shard that is done.

    Raises:
        UsageError: ``out`` holds something else, or another process unpacks into it.
        IebenchError: a shard is broken, or an object's name can be no folder's.
    """
    _require_ours(out, index)
    folder = out / FOLDER_NAME
    with sole_process(folder, f"another process is unpacking into {out}"):
        _require_ours(out, index)
        write_text(folder / INDEX_NAME, index.to_json())
        try:
            objects = _unpack_shards(dataset, index, out, workers, advance)
        finally:
            shutil.rmtree(_unfinished(out), ignore_errors=True)
        for split, (images, labels) in LISTS.items():
            listed = [
                item
                for shard in (index.splits[split].shards if split in index.splits else ())
                for item in objects[shard.name].items()
            ]
            _save(out / images, np.array([f"/{place}" for place, _ in listed], dtype=np.str_))
            _save(out / labels, np.array([label for _, label in listed], dtype=np.int64))


def _unpack_shards(
    dataset: Path, index: DatasetIndex, out: Path, workers: int, advance: Callable[[int], object]
) -> dict[str, dict[str, int]]:
    """The places and labels of the objects of each shard, which are all written by then."""
    shutil.rmtree(_unfinished(out), ignore_errors=True)
    _unfinished(out).mkdir()
    latents = latent_format_of(index)
    jobs = [_Job(dataset, out, shard, latents) for split in index.splits.values() for shard in split.shards]
    found: dict[str, dict[str, int]] = {}
    places: set[str] = set()
    with contextlib.closing(run_parallel(_unpack_shard, jobs, workers)) as results:
        for done in results:
            if twice := places & done.objects.keys():
                raise IebenchError(f"{min(twice)} is in two shards; run `iebench verify` on the dataset")
            places |= done.objects.keys()
            found[done.shard.name] = done.objects
            advance(done.shard.views)
    return found


def _unpack_shard(job: _Job) -> _Done:
    objects: dict[str, int] = {}
    for view, place in _placed(job):
        folder = job.out / place
        if place.as_posix() not in objects:
            objects[place.as_posix()] = view.metadata.label
            folder.mkdir(parents=True, exist_ok=True)
        number = view.metadata.view
        _write(folder / image_name(number), view.jpeg, job.out)
        _write(folder / latents_name(number), job.latents.write(view.metadata.latents), job.out)
    return _Done(job.shard, objects)


def _placed(job: _Job) -> Iterator[tuple[View, Path]]:
    """The views of a shard with the places of their objects; all views of an object stand together, in order."""
    before: tuple[Path, int] | None = None
    seen: set[Path] = set()
    for sample, path in whole_shard(job.dataset, job.shard):
        view = parse_view(sample, path, "rgb", passes=())  # whatever the order: images are not decoded
        try:
            place = object_place(view.metadata.synset, view.metadata.object)
        except IebenchError as error:
            raise IebenchError(f"shard {path}: {error}") from None
        expected = before[1] + 1 if before is not None and before[0] == place else 0
        again = expected == 0 and place in seen
        if view.metadata.view != expected or again or is_unchanged(sample) is False:
            raise IebenchError(
                f"shard {path}, sample {view.metadata.key} is damaged or out of order; "
                "run `iebench verify` on the dataset"
            )
        before = place, view.metadata.view
        seen.add(place)
        yield view, place


def _write(path: Path, data: bytes, out: Path) -> None:
    """Puts a file where it is not there yet.

    Millions of files are not synced one by one: what a power cut leaves of them is found out by its bytes.
    """
    if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
        return
    temporary = _unfinished(out) / secrets.token_hex(8)
    temporary.write_bytes(data)
    temporary.replace(path)


def _save(path: Path, array: np.ndarray) -> None:
    buffer = io.BytesIO()
    np.save(buffer, array)
    with atomic_write(path) as stream:
        stream.write(buffer.getvalue())


def _unfinished(out: Path) -> Path:
    """Where files are until they are whole."""
    return out / FOLDER_NAME / "unfinished"


def _require_ours(out: Path, index: DatasetIndex) -> None:
    """Makes sure that ``out`` is new, empty, or this very dataset unpacked.

    Raises:
        UsageError: it holds something else.
    """
    begun = out / FOLDER_NAME / INDEX_NAME
    if begun.is_file():
        if begun.read_text() != index.to_json():
            raise UsageError(
                f"{out} holds another dataset, unpacked; choose another folder or delete this one"
            )
    elif out.exists() and (not out.is_dir() or any(item.name != FOLDER_NAME for item in out.iterdir())):
        raise UsageError(f"{out} exists and is no unpacked dataset; choose a folder that is new or empty")
