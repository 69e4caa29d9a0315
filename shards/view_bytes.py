"""Reads single views from a shard by their byte ranges, without reading the bytes before them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shards.errors import IebenchError
from shards.mirror import is_here, local_shard
from shards.origin import origin_of
from shards.reader import View, parse_view
from shards.samples import Sample, is_unchanged
from shards.schema import DatasetIndex, ShardInfo, sample_key
from shards.table import TABLE_NAME, members_with

ViewName = tuple[str, str, int]
"""Synset, object's name and number of a view."""


def read_view(
    folder: Path, index: DatasetIndex, shard: ShardInfo, byte_ranges: np.ndarray, name: ViewName
) -> View:
    """Reads one view with its passes, as ``read_views_at`` does; ``byte_ranges`` are (members, 2) int64."""
    (view,) = read_views_at(folder, index, shard, byte_ranges[None], [name])
    return view


def read_views_at(
    folder: Path, index: DatasetIndex, shard: ShardInfo, byte_ranges: np.ndarray, names: Sequence[ViewName]
) -> list[View]:
    """Reads consecutive views of a shard, with their passes, in one read, and checks their names.

    The byte ranges are (views, members, 2) int64: the offset and size of each member, in the order of ``members_with``.

    Raises:
        IebenchError: The bytes cannot be read, or are not those of these views.
    """
    start, stop = int(byte_ranges[..., 0].min()), int(byte_ranges.sum(axis=-1).max())
    location = f"{origin_of(folder) or folder}/{shard.name}"
    if not 0 <= start < stop <= shard.bytes:
        raise _disagreement(location, names[0])
    data = _read_bytes(folder, shard, start, stop)
    views = []
    for offsets, name in zip(byte_ranges.tolist(), names, strict=True):
        sample: Sample = {"__key__": sample_key(*name)}
        for member, (offset, size) in zip(members_with(index.passes), offsets, strict=True):
            sample[member] = data[offset - start : offset - start + size]
        try:
            view = parse_view(sample, Path(location), index.channel_order, index.passes)
        except IebenchError:
            raise _disagreement(location, name) from None
        found = view.metadata
        if is_unchanged(sample) is False or (found.synset, found.object, found.view) != name:
            raise _disagreement(location, name)
        views.append(view)
    return views


def _read_bytes(folder: Path, shard: ShardInfo, start: int, stop: int) -> bytes:
    """Reads bytes ``start`` to ``stop`` of a shard: from its file, or with a range request if it is not downloaded."""
    if not is_here(folder, shard):
        from shards.remote.connection import RangesUnsupported
        from shards.remote.download import download_range

        try:
            return download_range(f"{origin_of(folder)}/{shard.name}", start, stop)
        except RangesUnsupported:
            local_shard(folder, shard)
    path = folder / shard.name
    try:
        with path.open("rb", buffering=0) as stream:
            return os.pread(stream.fileno(), stop - start, start)
    except OSError as error:
        raise IebenchError(f"shard {path} cannot be read ({error})") from None


def _disagreement(location: str, name: ViewName) -> IebenchError:
    return IebenchError(
        f"{location} does not hold {sample_key(*name)} where {TABLE_NAME} says; run `iebench verify` on the dataset, and "
        "`iebench index` if the shard is whole"
    )
