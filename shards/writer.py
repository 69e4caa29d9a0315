"""Writes samples to shards. A shard's bytes depend on nothing but its samples."""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, cast

from shards.files import atomic_write
from shards.samples import Sample
from shards.schema import ShardInfo


def write_samples(stream: IO[bytes], samples: Iterable[Sample]) -> int:
    """Writes samples as a tar and returns their number.

    Times, owners and modes are fixed, so that equal samples give equal bytes.
    """
    count = 0
    with _opened(stream) as tar:
        for sample in samples:
            _add(tar, sample)
            count += 1
    return count


def encode_members(samples: Iterable[Sample]) -> bytes:
    """Returns the tar members of samples without the zeros that end an archive, so that such bytes can be joined."""
    stream = io.BytesIO()
    with _opened(stream) as tar:
        for sample in samples:
            _add(tar, sample)
        size = tar.offset
    return stream.getvalue()[:size]


def end_of_archive(size: int) -> bytes:
    """Returns the zeros that end a tar whose members have ``size`` bytes."""
    return bytes(-(size + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE + 2 * tarfile.BLOCKSIZE)


def seal_shard(path: Path, samples: Iterable[Sample], objects: int) -> ShardInfo:
    """Writes a shard, whose samples show ``objects`` objects, under a temporary name, syncs it to disk and renames it."""
    with atomic_write(path) as file:
        stream = _HashedStream(file)
        views = write_samples(cast(IO[bytes], stream), samples)
    return stream.info(path, objects, views)


def join_shard(path: Path, pieces: Iterable[bytes], objects: int, views: int) -> ShardInfo:
    """Makes the same shard as ``seal_shard`` from what ``encode_members`` returned for pieces of all samples."""
    with atomic_write(path) as file:
        stream = _HashedStream(file)
        for piece in pieces:
            stream.write(piece)
        stream.write(end_of_archive(stream.size))
    return stream.info(path, objects, views)


class _HashedStream:
    """A file that counts and hashes its bytes while they are written, so that it need not be read again."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._stream.write(data)

    def info(self, path: Path, objects: int, views: int) -> ShardInfo:
        return ShardInfo(
            name=path.name, bytes=self.size, sha256=self._digest.hexdigest(), objects=objects, views=views
        )


def _opened(stream: IO[bytes]) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT)


def _add(tar: tarfile.TarFile, sample: Sample) -> None:
    for extension in sorted(sample.keys() - {"__key__"}):
        member = tarfile.TarInfo(f"{sample['__key__']}.{extension}")
        member.size, member.mode = len(sample[extension]), 0o644
        member.uname = member.gname = "iebench"
        tar.addfile(member, io.BytesIO(sample[extension]))
