"""Limits the size of the cache by deleting the shards that were used longest ago."""

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shards.errors import UsageError
from shards.origin import cache_root, origin_of

SIZE_VARIABLE = "IEBENCH_CACHE_SIZE"
SECONDS_IN_USE = 60.0
"""Seconds for which a file is kept after its last use, as another process may be reading it."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE)


@dataclass(frozen=True)
class Mirror:
    """A dataset in the cache, with the number and the size in bytes of the files in its folder."""

    address: str
    folder: Path
    files: int
    size: int


def parse_size(text: str) -> int:
    """Parses a size such as ``20GB``, ``500M`` or ``1000`` to bytes; units are powers of 1000.

    Raises:
        UsageError: The text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size; write one such as 20GB or 500MB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def cache_limit() -> int | None:
    """Returns the largest size of the cache in bytes (``IEBENCH_CACHE_SIZE``); None if there is no limit.

    Raises:
        UsageError: The variable is not a size.
    """
    text = os.environ.get(SIZE_VARIABLE, "")
    return parse_size(text) if text else None


def mirrors() -> list[Mirror]:
    """Returns the datasets in the cache, sorted by address."""
    found = []
    for folder in _folders():
        files = [path for path in folder.iterdir() if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        found.append(Mirror(origin_of(folder) or "", folder, len(files), size))
    return sorted(found, key=lambda mirror: mirror.address)


def clear(mirror: Mirror) -> None:
    """Deletes a dataset from the cache."""
    shutil.rmtree(mirror.folder)


def note_use(path: Path) -> None:
    """Sets a file's access time to now, and leaves its modification time, which shows whether its bytes changed."""
    with contextlib.suppress(OSError):  # the cache may be read-only
        status = path.stat()
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


def make_room(size: int, keep: Path) -> None:
    """Deletes the shards and tables that were used longest ago, until ``size`` more bytes fit into the limit.

    The file ``keep`` stays, and so do files that were used within the last minute. So the cache may exceed its limit
    for a while.
    """
    limit = cache_limit()
    if limit is None:
        return
    paths = (path for folder in _folders() for path in folder.glob("[!.]*"))
    files = [(path, path.stat()) for path in paths if path.suffix in (".tar", ".parquet")]
    total = size + sum(status.st_size for _, status in files)
    for path, status in sorted(files, key=lambda item: item[1].st_atime_ns):
        if total <= limit or time.time() - status.st_atime < SECONDS_IN_USE:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= status.st_size


def _folders() -> Iterator[Path]:
    """Yields the folders of the mirrors in the cache; other folders there do not belong to iebench."""
    root = cache_root()
    if root.is_dir():
        yield from (folder for folder in sorted(root.iterdir()) if origin_of(folder) is not None)
