"""How large the cache may grow: the shards that were read longest ago go first."""

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
"""A file that was asked for so shortly ago is being read, perhaps by another process, and stays."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE)


@dataclass(frozen=True)
class Mirror:
    """A dataset in the cache: where it is from, its folder, how many of its files are here, and their bytes."""

    address: str
    folder: Path
    files: int
    size: int


def parse_size(text: str) -> int:
    """Bytes of ``20GB``, ``500M`` or ``1000``; units are powers of 1000.

    Raises:
        UsageError: it is written otherwise.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size; write one such as 20GB or 500MB")
    return int(float(match[1]) * _UNITS[match[2].upper()])


def cache_limit() -> int | None:
    """Bytes that the cache may have (``IEBENCH_CACHE_SIZE``); None where nothing limits it.

    Raises:
        UsageError: the variable holds no size.
    """
    text = os.environ.get(SIZE_VARIABLE, "")
    return parse_size(text) if text else None


def mirrors() -> list[Mirror]:
    """The datasets in the cache, by address."""
    found = []
    for folder in _folders():
        files = [path for path in folder.iterdir() if path.is_file()]
        size = sum(path.stat().st_size for path in files)
        found.append(Mirror(origin_of(folder) or "", folder, len(files), size))
    return sorted(found, key=lambda mirror: mirror.address)


def clear(mirror: Mirror) -> None:
    """Removes a dataset from the cache."""
    shutil.rmtree(mirror.folder)


def note_use(path: Path) -> None:
    """Notes that a file was asked for; its time of change, which tells of its bytes, stays."""
    with contextlib.suppress(OSError):  # of a cache that can only be read
        status = path.stat()
        os.utime(path, ns=(time.time_ns(), status.st_mtime_ns))


def make_room(size: int, keep: Path) -> None:
    """Removes the shards and tables that were used longest ago, until so many more bytes fit the limit.

    What was used within the last minute stays, so that the cache may be larger than its limit for a while.

    Args:
        size: Bytes that will be added.
        keep: A file that stays.
    """
    limit = cache_limit()
    if limit is None:
        return
    files = [(path, path.stat()) for folder in _folders() for path in folder.glob("[!.]*") if _goes(path)]
    total = size + sum(status.st_size for _, status in files)
    for path, status in sorted(files, key=lambda item: item[1].st_atime_ns):
        if total <= limit or time.time() - status.st_atime < SECONDS_IN_USE:
            return
        if path != keep:
            path.unlink(missing_ok=True)
            total -= status.st_size


def _goes(path: Path) -> bool:
    return path.suffix in (".tar", ".parquet")


def _folders() -> Iterator[Path]:
    """The mirrors in the cache; what else lies there is not ours."""
    root = cache_root()
    if root.is_dir():
        yield from (folder for folder in sorted(root.iterdir()) if origin_of(folder) is not None)
