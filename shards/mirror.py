"""Mirrors datasets at an address: a folder in the cache gets the index at once, and each shard when it is first read.

Before a process reads a shard, it checks the shard's SHA-256 against the index. A shard that is wrong is downloaded
again: it may be cut short, altered, or from an earlier version of the dataset.
"""

import json
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import zip_longest
from pathlib import Path

from shards.errors import IebenchError
from shards.eviction import make_room, note_use
from shards.files import sha256_of, write_text
from shards.origin import ORIGIN_NAME, cache_root, mirror_folder, origin_of
from shards.remote.address import checked_address, is_address
from shards.remote.connection import Unreachable
from shards.schema import INDEX_NAME, SHARD_NAME, ShardInfo, parse_index_text

LARGEST_INDEX = 1 << 25
"""Largest index that is downloaded, in bytes; the index of the whole benchmark has 0.1 MB."""

_checked: dict[Path, tuple[str, int, int, int]] = {}
"""Files that this process has checked, by path: SHA-256, bytes, modification time and inode."""


def dataset_folder(location: str | Path) -> Path:
    """Returns the folder of a dataset. For an address, this is its mirror, whose index is updated first.

    If the address cannot be reached but the mirror has an index, that index is used and a line on stderr says so.

    Raises:
        UsageError: The address does not start with http://, https://, s3:// or hf://, or has a password in it.
        IebenchError: There is no readable dataset at the address, or the cache cannot be written.
    """
    if isinstance(location, Path) or not is_address(location):
        return Path(location)
    address = checked_address(location)
    folder = mirror_folder(address)
    with _one_sentence():
        _refresh(address, folder)
    return folder


def local_shard(folder: Path, shard: ShardInfo) -> Path:
    """Returns the path of a shard's file. In a mirror, it is downloaded if it is missing or its SHA-256 is wrong.

    Several processes and threads may ask for one shard at once; one of them downloads it and the others wait.

    Raises:
        IebenchError: The shard cannot be downloaded, or the cache cannot be written.
    """
    address = origin_of(folder)
    if address is not None and not SHARD_NAME.fullmatch(shard.name):
        raise IebenchError(f"{shard.name!r} is not the name of a shard; the index at {address} is broken")
    return local_file(folder, shard.name, shard.bytes, shard.sha256)


def local_file(folder: Path, name: str, size: int, sha256: str) -> Path:
    """Returns the path of one of a dataset's files. In a mirror, it is checked and downloaded as by ``local_shard``.

    In a local dataset, the file is not checked and need not exist.

    Raises:
        IebenchError: It cannot be downloaded, or there is no room for it.
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
    """Returns whether a shard can be read without a download; in a mirror, its SHA-256 is checked."""
    path = folder / shard.name
    if origin_of(folder) is None:
        return True
    with _one_sentence():
        return _is_right(path, shard.bytes, shard.sha256)


def prefetch(folder: Path, shards: Sequence[ShardInfo]) -> Iterator[ShardInfo]:
    """Yields shards in order and, in a mirror, downloads the next one in the background meanwhile.

    An error of the background download is not raised here. Reading the shard tries again and raises it.
    """
    if origin_of(folder) is None:
        yield from shards
        return
    for shard, following in zip_longest(shards, shards[1:]):
        if following is not None:
            # A daemon thread, so that exiting does not wait for it; a later download continues where it stopped.
            threading.Thread(target=_fetch_quietly, args=(folder, following), daemon=True).start()
        yield shard


def _fetch_quietly(folder: Path, shard: ShardInfo) -> None:
    with suppress(IebenchError):
        local_shard(folder, shard)


def _refresh(address: str, folder: Path) -> None:
    """Updates the index of a mirror from its address."""
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
        return  # nothing is written, so a read-only cache with all files works too
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / ORIGIN_NAME, json.dumps({"address": address}) + "\n")
    write_text(path, content.decode("utf-8"))


def _is_right(path: Path, size: int, sha256: str) -> bool:
    """Returns whether the file exists with the right SHA-256. Each process reads it once, and again after a change."""
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
    """Turns errors of the disk into an IebenchError of one sentence, which a DataLoader worker can pass on."""
    try:
        yield
    except OSError as error:
        raise IebenchError(
            f"{error.filename or cache_root()} in the cache cannot be used ({error.strerror or error}); make room or set "
            "IEBENCH_CACHE to another folder, and run the same command again: what has come is kept"
        ) from None
