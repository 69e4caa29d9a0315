"""Processes as the kernel lists them, and waiting for what they do."""

import fcntl
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 240.0
"""Seconds: machines that are busy with something else take so long to start three processes."""


@dataclass(frozen=True)
class Process:
    """A process by id and start time, so that an id that was given away again is not mistaken for it."""

    pid: int
    started: int

    @property
    def alive(self) -> bool:
        """Whether any of its threads still runs, and so keeps its files open; a zombie does not."""
        fields = _status_fields(Path(f"/proc/{self.pid}"))
        if fields is None or int(fields[19]) != self.started:
            return False
        try:
            threads = [_status_fields(folder) for folder in Path(f"/proc/{self.pid}/task").iterdir()]
        except OSError:  # it has just ended
            return False
        return any(thread is not None and thread[0] not in "ZX" for thread in threads)

    @property
    def libraries(self) -> str:
        """The files that are mapped into its memory."""
        return Path(f"/proc/{self.pid}/maps").read_text()


def descendants(pid: int) -> list[Process]:
    """The children of a process, their children, and so on."""
    parents: dict[int, list[Process]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and (fields := _status_fields(folder)):
            parents.setdefault(int(fields[1]), []).append(Process(int(folder.name), int(fields[19])))
    found, queue = [], [pid]
    while queue:
        children = parents.get(queue.pop(), [])
        found += children
        queue += [child.pid for child in children]
    return found


def render_workers(pid: int) -> list[Process]:
    """Those descendants that have a Blender loaded."""
    return [child for child in descendants(pid) if _has_blender(child)]


def wait_for(
    condition: Callable[[], T], seconds: float = PATIENCE, process: subprocess.Popen | None = None
) -> T:
    """Polls until ``condition`` gives something true, and returns that; a fifth of the time is spent asking at most.

    Args:
        condition: asked again and again.
        seconds: after which the test fails.
        process: the test fails at once where it has ended.
    """
    end = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if value := condition():
            return value
        if process is not None and process.poll() is not None:
            raise AssertionError(f"the process ended with {process.returncode} before its time")
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds:g} s in vain")
        time.sleep(max(0.02, 4 * (time.monotonic() - asked)))


class HeldFile:
    """A regular file that keeps whoever opens it waiting until it is let go, by a lease of the kernel (Linux).

    The kernel itself lets go after ``/proc/sys/fs/lease-break-time``, which is 45 seconds unless somebody changed it.

    Args:
        path: The file; nobody may have it open.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY)
        fcntl.fcntl(
            self._descriptor, fcntl.F_SETSIG, signal.SIGURG
        )  # which does nothing; SIGIO would end this process
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)

    def wait_for_reader(self, process: subprocess.Popen) -> None:
        """Waits until somebody opens the file."""
        wait_for(lambda: fcntl.fcntl(self._descriptor, fcntl.F_GETLEASE) != fcntl.F_WRLCK, process=process)

    def let_go(self) -> None:
        """Lets those go on who wait, and whoever comes."""
        fcntl.fcntl(self._descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)

    def close(self) -> None:
        """Lets everybody go on; for ``contextlib.closing``."""
        os.close(self._descriptor)


def default_interrupt() -> None:
    """For ``preexec_fn``: a test run in the background hands down SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _has_blender(process: Process) -> bool:
    try:
        return "/bpy/" in process.libraries
    except OSError:  # it has just ended
        return False


def _status_fields(folder: Path) -> list[str] | None:
    """The fields of a process's or thread's ``stat`` after the command name."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def free_port() -> int:
    """A port of loopback that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
