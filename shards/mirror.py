"""Datasets that stand at an address: a folder in the cache is their mirror, and shards come when first read.

Every shard has its SHA-256 checked against the index before this process reads it; one that is wrong, because it
was cut short, altered or is of an earlier version of the dataset, is fetched anew.
"""

import json
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from shards.errors import IebenchError
from shards.eviction import make_room, note_use
from shards.files import sha256_of, write_text
from shards.origin import ORIGIN_NAME, cache_root, mirror_folder, origin_of
from shards.remote.address import checked_address, is_address
from shards.remote.connection import Unreachable
from shards.schema import INDEX_NAME, SHARD_NAME, ShardInfo, parse_index_text

LARGEST_INDEX = 1 << 25
"""Bytes; the index of the whole benchmark has 0.1 MB."""

_checked: dict[Path, tuple[str, int, int, int]] = {}
"""The shards that this process has checked: SHA-256, bytes, time of change and inode by path."""


def dataset_folder(location: str | Path) -> Path:
    """The folder of a dataset: the path itself, or the mirror of an address with its index as it is now.

    An address that cannot be reached is no error where the mirror has an index already: it is used, and a line on
    stderr says so.

    Args:
        location: a folder's path, or an address that starts with http://, https://, s3:// or hf://.

    Raises:
        UsageError: it is another kind of address, or one with a password in it.
        IebenchError: there is no dataset that can be read, or the cache cannot be written.
    """
    if isinstance(location, Path) or not is_address(location):
        return Path(location)
    address = checked_address(location)
    folder = mirror_folder(address)
    with _one_sentence():
        _refresh(address, folder)
    return folder


def local_shard(folder: Path, shard: ShardInfo) -> Path:
    """The file of a shard; in a mirror it is fetched where it is missing or its SHA-256 is wrong.

    Any number of processes and threads may ask for one shard at once: one fetches it.

    Raises:
        IebenchError: it could not be fetched, or the cache cannot be written.
    """
    address = origin_of(folder)
    if address is not None and not SHARD_NAME.fullmatch(shard.name):
        raise IebenchError(f"{shard.name!r} is not the name of a shard; the index at {address} is broken")
    return local_file(folder, shard.name, shard.bytes, shard.sha256)


def local_file(folder: Path, name: str, size: int, sha256: str) -> Path:
    """One of a dataset's files; in a mirror it is fetched as ``local_shard`` says, elsewhere it is not looked at.

    Args:
        folder: Folder of the dataset.
        name: Name of the file.
        size: its bytes.
        sha256: hexadecimal.

    Raises:
        IebenchError: it could not be fetched, or the cache cannot be written.
    """
    path = folder / name
    address = origin_of(folder)
    if address is None:
        return path
    with _one_sentence():
        if not _is_right(path, size, sha256):
            from shards.remote.download import download

            make_room(size, path)
            download(f"{address}/{name}", path, size, sha256, lambda: _is_right(path, size, sha256))
            _checked[path] = _signature(path, sha256)
        note_use(path)
    return path


def is_here(folder: Path, shard: ShardInfo) -> bool:
    """Whether a shard can be read without a connection; that of a mirror has its SHA-256 checked."""
    path = folder / shard.name
    if origin_of(folder) is None:
        return True
    with _one_sentence():
        return _is_right(path, shard.bytes, shard.sha256)


def prefetch(folder: Path, shards: Iterable[ShardInfo], ahead: int = 1) -> Iterator[ShardInfo]:
    """The shards in order; while one is being read, the next ones of a mirror are fetched in the background.

    An error is met again, and raised, by whoever reads the shard.

    Args:
        folder: the dataset's folder.
        shards: The shards, in the order in which they will be read.
        ahead: Number of shards that are fetched beyond the one that is read.
    """
    if origin_of(folder) is None:
        yield from shards
        return
    remaining = iter(shards)
    coming: list[ShardInfo] = list(islice(remaining, 1))
    while coming:
        new = list(islice(remaining, ahead + 1 - len(coming)))
        coming += new
        for shard in new:
            # A daemon: whoever stops reading does not wait for it, and what it has fetched is taken up later.
            threading.Thread(target=_fetch_quietly, args=(folder, shard), daemon=True).start()
        yield coming.pop(0)


def _fetch_quietly(folder: Path, shard: ShardInfo) -> None:
    with suppress(IebenchError):
        local_shard(folder, shard)


def _refresh(address: str, folder: Path) -> None:
    """Brings the index of a mirror to what stands at its address."""
    from shards.remote.download import download_small

    path = folder / INDEX_NAME
    url = f"{address}/{INDEX_NAME}"
    try:
        content = download_small(url, LARGEST_INDEX)
    except Unreachable as error:
        if not path.is_file():
            raise
        reason = str(error).split(";")[0]
        print(f"{reason}; going on with the copy of the index that is in {folder}", file=sys.stderr)
        return
    parse_index_text(content, url)
    if path.is_file() and origin_of(folder) == address and path.read_bytes() == content:
        return  # a cache that cannot be written, but has everything, is as good
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ORIGIN_NAME, json.dumps({"address": address}) + "\n")
    write_text(path, content.decode("utf-8"))


def _is_right(path: Path, size: int, sha256: str) -> bool:
    """Whether the file is there with the right bytes; they are read once by each process, and after a change."""
    try:
        signature = _signature(path, sha256)
        if _checked.get(path) == signature:
            return True
        if signature[1] != size or sha256_of(path) != sha256:
            return False
    except FileNotFoundError:
        return False
    _checked[path] = signature
    return True


def _signature(path: Path, sha256: str) -> tuple[str, int, int, int]:
    status = path.stat()
    return sha256, status.st_size, status.st_mtime_ns, status.st_ino


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Errors of the disk as a sentence, which crosses a DataLoader's processes as it is."""
    try:
        yield
    except OSError as error:
        raise IebenchError(
            f"{error.filename or cache_root()} in the cache cannot be used ({error.strerror or error}); make room or set "
            "IEBENCH_CACHE to another folder, and run the same command again: what has come is kept"
        ) from None
