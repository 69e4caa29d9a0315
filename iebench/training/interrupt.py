"""Handlers that turn Ctrl-C and SIGTERM into a request, so that the loop can save its state before it stops."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class StopRequest:
    """Remembers the number of the first signal, or 0 if none came; a second one raises KeyboardInterrupt."""

    number = 0

    def handle(self, number: int, _: FrameType | None) -> None:
        """Handles a signal."""
        if self.number:
            raise KeyboardInterrupt
        self.number = number


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Installs handlers for Ctrl-C and SIGTERM within a block, and yields the request that they set."""
    request = StopRequest()
    previous = {number: signal.signal(number, request.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
