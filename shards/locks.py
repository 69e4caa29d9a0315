"""Locks folders with ``flock``, so that one process at a time writes into them. A lock ends with its process."""

import contextlib
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from shards.errors import UsageError

_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EINVAL})


@contextlib.contextmanager
def one_at_a_time(folder: Path, name: str = "turn") -> Iterator[None]:
    """Waits until no other process is inside this context for the same folder and name of the locked file."""
    descriptor = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        take_lock(descriptor, fcntl.LOCK_EX, folder / name)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def sole_process(folder: Path, problem: str) -> Iterator["FolderLock"]:
    """Holds a ``FolderLock`` alone until the end of the context, inside of which the folder may be removed."""
    lock = FolderLock(folder, fcntl.LOCK_EX, problem)
    try:
        yield lock
    finally:
        lock.release()


class FolderLock:
    """The lock of a folder, from its creation until it is released or the process ends.

    The folder is created if it does not exist. Taking the lock does not wait for another process. On a file system that
    several machines share, the lock holds for all of them if ``flock`` is supported, as by NFS, Lustre (mounted with
    ``flock``), BeeGFS and GPFS.

    Args:
        folder: Folder to lock.
        kind: ``fcntl.LOCK_EX`` to hold the lock alone, ``fcntl.LOCK_SH`` to hold it together with others.
        problem: Beginning of the error message if another process holds the lock.

    Raises:
        UsageError: Another process holds the lock, or the file system does not support locks.
    """

    def __init__(self, folder: Path, kind: int, problem: str) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        try:
            while not self._taken(kind, problem):  # its last holder removed the folder in the meantime
                self.release()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Releases the lock, so that another process can take it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Renames the folder, releases the lock, and deletes the folder.

        NFS keeps a file that is deleted while it is open, under another name in its folder, and such a folder cannot be
        deleted. So the lock's file is closed first. By then the folder has another name, so that no process finds it
        half deleted.
        """
        done = removed_name(self._folder)
        shutil.rmtree(done, ignore_errors=True)
        self._folder.rename(done)
        self.release()
        # A file that another NFS client still has open is deleted by the next call.
        shutil.rmtree(done, ignore_errors=True)

    def _taken(self, kind: int, problem: str) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "lock"
        try:
            self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:
            return False
        try:
            take_lock(self._descriptor, kind | fcntl.LOCK_NB, self._folder)
        except BlockingIOError:
            raise UsageError(f"{problem}; wait for it or choose another folder") from None
        return is_at(self._descriptor, path)


def removed_name(folder: Path) -> Path:
    """Returns the name that a folder has while it is being deleted."""
    return folder.with_name(f"{folder.name}-removed")


def take_lock(descriptor: int, kind: int, path: Path) -> None:
    """Takes the lock of an open file; ``path`` is for error messages, and ``kind`` an operation of ``fcntl.flock``.

    Raises:
        UsageError: The file system does not support locks.
        BlockingIOError: Another process holds the lock, and ``kind`` includes ``fcntl.LOCK_NB``.
    """
    try:
        fcntl.flock(descriptor, kind)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UsageError(
            f"the file system of {path} has no file locks ({error.strerror}): have Lustre mounted with `flock` and NFS "
            "with its lock service, or choose a folder elsewhere"
        ) from None


def is_at(descriptor: int, path: Path) -> bool:
    """Returns whether an open file is still the file at a path, and was not deleted or replaced."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
