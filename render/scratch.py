"""Room for what render processes write and throw away again: frames, unpacked models, what Blender says.

It is on the node, below TMPDIR: over a network, a frame of 200 kB would be written, read and deleted for each view.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "iebench-render-"
_LOCK = "lock"
_KEPT_OF_LOG = 2**16  # bytes


class Scratch:
    """A temporary folder of this process on this machine, which ``remove`` deletes.

    A process that is killed cannot remove its folder; the next one on the machine does.

    Raises:
        OSError: There is no room for it.
    """

    def __init__(self) -> None:
        parent = Path(tempfile.gettempdir())
        _remove_abandoned(parent)
        new = Path(tempfile.mkdtemp(prefix=f".{_PREFIX}", dir=parent))
        self._lock = os.open(new / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
        with suppress(OSError):  # a file system without locks: then nobody else removes it
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.folder = new.rename(parent / new.name.removeprefix("."))  # it is found only once it is locked

    def worker_folder(self) -> Path:
        """A new folder in it for one render process."""
        return Path(tempfile.mkdtemp(prefix="worker-", dir=self.folder))

    def remove(self) -> None:
        """Removes the folder with all that is in it."""
        os.close(self._lock)
        shutil.rmtree(self.folder, ignore_errors=True)


def tail_of(path: Path) -> bytes:
    """The end of a log; empty if there is none."""
    with suppress(OSError), path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - _KEPT_OF_LOG))
        return stream.read()
    return b""


def _remove_abandoned(parent: Path) -> None:
    """Removes the folders of processes of this user that ended without doing so."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError):  # another user's, or one that is just being made or removed
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            descriptor = os.open(folder / _LOCK, os.O_RDWR)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(descriptor)
