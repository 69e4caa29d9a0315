"""Who may write into a folder, by the kernel's locks (``flock``), which do not outlive their process."""

import contextlib
import errno
import fcntl
import os
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
def sole_process(folder: Path, problem: str) -> Iterator[None]:
    """Within it no other process may work in a folder; the folder is made where it does not exist.

    Args:
        folder: Folder that keeps the lock; whoever holds the lock may remove the folder.
        problem: what to say to a second process.

    Raises:
        UsageError: another process holds it.
    """
    descriptor = lock_folder(folder, fcntl.LOCK_EX, problem)
    try:
        yield
    finally:
        os.close(descriptor)


def lock_folder(folder: Path, kind: int, problem: str) -> int:
    """Locks a folder, which is made if it does not exist, until the returned descriptor is closed.

    On a file system of several machines the lock holds for all of them if it supports ``flock``, as NFS, Lustre
    (mounted with ``flock``), BeeGFS and GPFS do.

    Args:
        folder: The folder; whoever holds the lock alone may remove it.
        kind: ``fcntl.LOCK_EX`` to hold it alone, ``fcntl.LOCK_SH`` to hold it with others.
        problem: What to say if others hold it.

    Raises:
        UsageError: another process holds it.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o644)
        except FileNotFoundError:  # its last holder has removed the folder meanwhile
            continue
        try:
            require_lock(descriptor, kind, problem, folder)
            if _is_at(descriptor, folder / "lock"):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


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


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.fstat(descriptor).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False
