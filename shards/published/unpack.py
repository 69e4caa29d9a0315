"""Unpacks a dataset to the published layout, with the lists of its splits.

A run can be stopped and started again: a file that already has the right bytes is not written again. ``OUT/.unpack``
records which dataset the folder holds.
"""

import contextlib
import io
import secrets
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

from shards.errors import IebenchError, UsageError
from shards.files import atomic_write, write_text
from shards.locks import sole_process
from shards.parallel import run_parallel
from shards.published.latent_format import LatentFormat
from shards.published.layout import LISTS, image_name, latents_name, object_folder
from shards.reader import View, parse_view, whole_shard
from shards.samples import is_unchanged
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo

FOLDER_NAME = ".unpack"


def unpack(
    dataset: Path,
    index: DatasetIndex,
    out: Path,
    workers: int,
    advance: Callable[[int], object] = lambda views: None,
) -> None:
    """Writes ``synset/object/image_0.jpg`` and ``latent_0.npy`` of every view, and the lists of the splits.

    JPEG bytes are copied from the shards. Latents are written in the format that they were packed from, else as
    float64. Passes are left out, because the layout has no files for them.

    ``out`` is new, or begun with the same dataset. ``advance`` is called with the number of views of each finished shard.

    Raises:
        UsageError: ``out`` holds something else, or another process is unpacking into it.
        IebenchError: A shard is broken, or an object's name cannot be the name of a folder.
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
            _save(out / images, np.array([f"/{name}" for name, _ in listed], dtype=np.str_))
            _save(out / labels, np.array([label for _, label in listed], dtype=np.int64))


def _unpack_shards(
    dataset: Path, index: DatasetIndex, out: Path, workers: int, advance: Callable[[int], object]
) -> dict[str, dict[str, int]]:
    """Unpacks all shards, and returns the labels of each shard's objects by the paths of their folders."""
    shutil.rmtree(_unfinished(out), ignore_errors=True)
    _unfinished(out).mkdir()
    unpack_shard = partial(_unpack_shard, dataset, out, _latent_format(index))
    shards = [shard for _, shard in index.all_shards()]
    found: dict[str, dict[str, int]] = {}
    unpacked: set[str] = set()
    with contextlib.closing(run_parallel(unpack_shard, shards, workers)) as results:
        for shard, objects in results:
            if twice := unpacked & objects.keys():
                raise IebenchError(f"{min(twice)} is in two shards; run `iebench verify` on the dataset")
            unpacked |= objects.keys()
            found[shard.name] = objects
            advance(shard.views)
    return found


def _latent_format(index: DatasetIndex) -> LatentFormat:
    """Returns the format in which a dataset's latents are unpacked: that of their source, else float64."""
    header = index.renderer.get("latents_header")
    if header is None:
        return LatentFormat.default(len(index.latents))
    try:
        return LatentFormat.parse(str(header).encode("latin-1", errors="replace"))
    except IebenchError as error:
        raise IebenchError(f"{INDEX_NAME}: latents_header is no header of a .npy file: {error}") from None


def _unpack_shard(
    dataset: Path, out: Path, latents: LatentFormat, shard: ShardInfo
) -> tuple[ShardInfo, dict[str, int]]:
    """Unpacks a shard, and returns it with the labels of its objects by the paths of their folders."""
    objects: dict[str, int] = {}
    for view, object_path in _views_with_folders(dataset, shard):
        folder = out / object_path
        if object_path.as_posix() not in objects:
            objects[object_path.as_posix()] = view.metadata.label
            folder.mkdir(parents=True, exist_ok=True)
        number = view.metadata.view
        _write(folder / image_name(number), view.jpeg, out)
        _write(folder / latents_name(number), latents.write(view.metadata.latents), out)
    return shard, objects


def _views_with_folders(dataset: Path, shard: ShardInfo) -> Iterator[tuple[View, Path]]:
    """Yields the views of a shard with the paths of their objects' folders, unless one is damaged or out of order."""
    before: tuple[Path, int] | None = None
    seen: set[Path] = set()
    for sample, path in whole_shard(dataset, shard):
        view = parse_view(sample, path, "rgb", passes=())  # images are not decoded
        try:
            folder = object_folder(view.metadata.synset, view.metadata.object)
        except IebenchError as error:
            raise IebenchError(f"shard {path}: {error}") from None
        expected = before[1] + 1 if before is not None and before[0] == folder else 0
        again = expected == 0 and folder in seen
        if view.metadata.view != expected or again or is_unchanged(sample) is False:
            raise IebenchError(
                f"shard {path}, sample {view.metadata.key} is damaged or out of order; "
                "run `iebench verify` on the dataset"
            )
        before = folder, view.metadata.view
        seen.add(folder)
        yield view, folder


def _write(path: Path, data: bytes, out: Path) -> None:
    """Writes a file unless it already has the right bytes.

    Files are not synced, as there may be millions. If a power failure damages one, the next run finds wrong bytes and
    writes it again.
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
    """Returns the folder in which files are written before they are renamed."""
    return out / FOLDER_NAME / "unfinished"


def _require_ours(out: Path, index: DatasetIndex) -> None:
    """Raises a UsageError unless ``out`` is new, empty, or holds the same dataset, unpacked."""
    begun = out / FOLDER_NAME / INDEX_NAME
    if begun.is_file():
        if begun.read_text() != index.to_json():
            raise UsageError(
                f"{out} holds another dataset, unpacked; choose another folder or delete this one"
            )
    elif out.exists() and (not out.is_dir() or any(item.name != FOLDER_NAME for item in out.iterdir())):
        raise UsageError(f"{out} exists and is no unpacked dataset; choose a folder that is new or empty")
