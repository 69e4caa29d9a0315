"""Who may write into a folder, by the kernel's locks (``flock``), which do not outlive their process."""

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
    """For the moments in which only one of the processes that share a folder may work; waits for its turn.

    Args:
        folder: the staging folder.
        name: Name of the locked file; different names do not exclude one another.
    """
    descriptor = os.open(folder / name, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        take_lock(descriptor, fcntl.LOCK_EX, folder / name)
        yield
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def sole_process(folder: Path, problem: str) -> Iterator["FolderLock"]:
    """Within it no other process may work in a folder; the folder is made where it does not exist.

    Args:
        folder: Folder that keeps the lock; whoever holds the lock may remove the folder, by ``FolderLock.remove``.
        problem: what to say to a second process.

    Raises:
        UsageError: another process holds it.
    """
    lock = FolderLock(folder, fcntl.LOCK_EX, problem)
    try:
        yield lock
    finally:
        lock.release()


class FolderLock:
    """Holds a folder, which is made if it does not exist, until it is released or the process ends.

    On a file system of several machines the lock holds for all of them if it supports ``flock``, as NFS, Lustre
    (mounted with ``flock``), BeeGFS and GPFS do.

    Args:
        folder: The folder; whoever holds the lock alone may remove it.
        kind: ``fcntl.LOCK_EX`` to hold it alone, ``fcntl.LOCK_SH`` to hold it with others.
        problem: What to say if others hold it.

    Raises:
        UsageError: another process holds it.
    """

    def __init__(self, folder: Path, kind: int, problem: str) -> None:
        self._folder = folder
        self._descriptor: int | None = None
        try:
            while not self._taken(kind, problem):  # its last holder has removed the folder meanwhile
                self.release()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Lets other processes have the folder."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def remove(self) -> None:
        """Lets go of the folder and deletes it.

        NFS keeps a file that is deleted while it is open, under another name in its folder, which then cannot be
        removed. So the lock is closed first; the folder has another name by then, so that nobody finds half of it.
        """
        done = removed_name(self._folder)
        shutil.rmtree(done, ignore_errors=True)
        self._folder.rename(done)
        self.release()
        # A file that another client still holds goes the next time.
        shutil.rmtree(done, ignore_errors=True)

    def _taken(self, kind: int, problem: str) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / "lock"
        try:
            self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:
            return False
        require_lock(self._descriptor, kind, problem, self._folder)
        return is_at(self._descriptor, path)


def removed_name(folder: Path) -> Path:
    """The name that a folder has while it is deleted."""
    return folder.with_name(f"{folder.name}-removed")


def take_lock(descriptor: int, kind: int, path: Path) -> None:
    """Takes a lock.

    Args:
        descriptor: The open file.
        kind: As for ``fcntl.flock``.
        path: The file or its folder, for the message.

    Raises:
        UsageError: its file system has no locks.
        BlockingIOError: another process holds it, and ``kind`` says not to wait.
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


def require_lock(descriptor: int, kind: int, problem: str, path: Path) -> None:
    """Takes a lock without waiting.

    Raises:
        UsageError: another process holds it (``problem`` is the beginning of the message), or there are no locks.
    """
    try:
        take_lock(descriptor, kind | fcntl.LOCK_NB, path)
    except BlockingIOError:
        raise UsageError(f"{problem}; wait for it or choose another folder") from None


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is the one that stands at a path now."""
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
