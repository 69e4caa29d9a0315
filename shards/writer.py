"""Samples into tars whose bytes depend on nothing but the samples."""

from collections.abc import Iterable
from pathlib import Path
from typing import IO

import webdataset

from shards.files import atomic_write, sha256_of
from shards.samples import Sample
from shards.schema import ShardInfo


def write_samples(stream: IO[bytes], samples: Iterable[Sample]) -> int:
    """Writes samples in order and returns how many there were.

    Times, owners and modes are fixed, so equal samples give equal bytes.
    """
    count = 0
    writer = webdataset.TarWriter(
        stream, user="iebench", group="iebench", mode=0o644, mtime=0, encoder=False, format="PAX_FORMAT"
    )
    with writer:
        for sample in samples:
            writer.write(sample)
            count += 1
    return count


def seal_shard(path: Path, samples: Iterable[Sample], objects: int) -> ShardInfo:
    """Writes a shard under a temporary name, syncs it to disk and renames it.

    Args:
        path: Path of the finished shard.
        samples: its samples, in order.
        objects: Number of objects that the samples show.
    """
    with atomic_write(path) as stream:
        views = write_samples(stream, samples)
    return ShardInfo(
        name=path.name, bytes=path.stat().st_size, sha256=sha256_of(path), objects=objects, views=views
    )
