"""Ctrl-C and SIGTERM as a request: the loop stops at the next step, where it can save its state."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Set by the first signal; a second one interrupts at once."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    @property
    def number(self) -> int:
        """The number of the signal; 0 if none came."""
        return self.signal or 0

    def handle(self, number: int, _: FrameType | None) -> None:
        """The signal handler."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = signal.Signals(number)


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Within it, Ctrl-C and SIGTERM set the request that is yielded."""
    request = StopRequest()
    previous = {number: signal.signal(number, request.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
