"""Who may render into a folder: one process all of it, or several a part each."""

import fcntl
import os
from pathlib import Path

from render.part import Part
from shards.files import write_text
from shards.locks import one_at_a_time, require_lock


class FolderLock:
    """Holds a staging folder until it is released or the process ends.

    A whole run excludes all others; the parts of a run exclude only their own double. The locks are the
    kernel's (``flock``), so none outlives its process; on a file system of several machines they hold for all of
    them where it supports ``flock``, as NFS, Lustre (mounted with ``flock``), BeeGFS and GPFS do.

    Args:
        folder: the staging folder; it is made where it does not exist.
        part: what is to be rendered; None means all.

    Raises:
        UsageError: another process holds the folder or the part.
    """

    def __init__(self, folder: Path, part: Part | None) -> None:
        self._descriptors: list[int] = []
        try:
            while not self._taken(folder, part):  # its last holder has removed the folder meanwhile
                self.release()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Lets other processes have it."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _taken(self, folder: Path, part: Part | None) -> bool:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with one_at_a_time(folder):
                lock = self._open(folder / "lock")
                if part is None:
                    require_lock(
                        lock, fcntl.LOCK_EX, f"another process is rendering into {folder.parent}", folder
                    )
                else:
                    self._take_part(folder, lock, part)
                return os.fstat(lock).st_ino == (folder / "lock").stat().st_ino
        except FileNotFoundError:
            return False

    def _take_part(self, folder: Path, lock: int, part: Part) -> None:
        require_lock(lock, fcntl.LOCK_SH, f"another process is rendering all of {folder.parent}", folder)
        count = folder / "parts"
        if not count.is_file() or count.read_text() != str(part.count):
            # Shards were dealt otherwise: sound once nobody is at work on them.
            require_lock(
                lock, fcntl.LOCK_EX, f"{folder.parent} is being rendered in another number of parts", folder
            )
            write_text(count, str(part.count))
            fcntl.flock(lock, fcntl.LOCK_SH)
        own = self._open(folder / f"lock-{part.file_name}")
        require_lock(
            own, fcntl.LOCK_EX, f"another process is rendering part {part} of {folder.parent}", folder
        )

    def _open(self, path: Path) -> int:
        self._descriptors.append(os.open(path, os.O_CREAT | os.O_RDWR, 0o644))
        return self._descriptors[-1]
