"""Writes files atomically: a file is complete or does not exist."""

import contextlib
import errno
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from shards.errors import IebenchError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS})
"""Error numbers that only writing can raise, such as a full disk."""

DISK_ERRORS = NO_ROOM | {errno.EIO}
"""Error numbers of the disk itself, after which it makes no sense to go on with other data."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside ``path``, and renames it to ``path`` when it is complete and on disk.

    On an error, the temporary file is removed, and an earlier file at ``path`` stays as it was.
    """
    # Process ids would not do, because processes on several machines may have the same one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with temporary.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with atomic_write(path) as stream:
        stream.write(text.encode())


def read_source_file(path: Path) -> bytes:
    """Reads a file of a source whose other files may be sound.

    Raises:
        IebenchError: The file is missing, is none, or cannot be read.
    """
    try:
        if not path.is_file():  # reading a pipe would wait forever
            raise IebenchError(f"{path.name} is {'no file' if path.exists() else 'missing'}")
        return path.read_bytes()
    except OSError as error:
        raise IebenchError(f"{path.name} cannot be read: {error.strerror}") from None


def sha256_of(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sync_folder(folder: Path) -> None:
    """Syncs a folder's list of names to disk, so that a rename in it survives a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
