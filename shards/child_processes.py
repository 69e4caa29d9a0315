"""What processes of one machine owe each other."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1


def available_cores() -> int:
    """Cores that this process may use, which a scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def leave_signals_to_parent() -> None:
    """Ctrl-C is the parent's to handle; SIGTERM ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Within it, Ctrl-C and SIGTERM wait, so that this process leaves no other half started.

    Processes that are started within it never see Ctrl-C, which is their parent's to handle.
    """
    held: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which children inherit
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # no other is interrupted
        for number in (signal.SIGINT, signal.SIGTERM):
            # Any thread may take a signal, so that a mask alone would not do.
            handlers[number] = signal.signal(number, lambda caught, _: held.append(caught))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for caught in held:
            signal.raise_signal(caught)


def end_with_parent(parent: int) -> None:
    """On Linux the kernel ends this process when its parent dies, however busy it is.

    Args:
        parent: process id of the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call above
        os._exit(1)
