"""Prepares processes to start and end cleanly: which signals they handle, and what happens when the parent dies."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def available_cores() -> int:
    """Returns the number of cores that this process may use, which a scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def leave_signals_to_parent() -> None:
    """Makes this process ignore Ctrl-C, which its parent handles, and end on SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def interrupts_held_back() -> Iterator[None]:
    """Delays Ctrl-C and SIGTERM until the end of the context, so that no child process is left half started.

    Processes that are started inside never get Ctrl-C, because they inherit the signal mask. Their parent handles it.
    """
    held: list[int] = []
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # children inherit this mask
    handlers = {}
    if threading.current_thread() is threading.main_thread():  # only this thread runs signal handlers
        for number in (signal.SIGINT, signal.SIGTERM):
            # The mask is not enough, because another thread of this process may take the signal.
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
    """Lets the kernel kill this process when the process ``parent`` dies. This works on Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # the parent died before the call above
        os._exit(1)
