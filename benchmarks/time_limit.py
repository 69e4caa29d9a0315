"""A number of minutes after which a script that can go on later stops by itself."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from iebench.training.loop import TrainingStopped

MORE_TO_DO = 75
"""Exit code of a script whose time was up before all was done; that of a temporary failure."""


class TimeIsUp(Exception):
    """The minutes that were given have passed."""


class TimeLimit:
    """Ends the work within ``running`` after some minutes; with None it may take as long as it needs."""

    def __init__(self, minutes: float | None) -> None:
        self.minutes = minutes
        self._is_over = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Interrupts the block when the minutes are over, as Ctrl-C does; a training then saves its state.

        Raises:
            TimeIsUp: The minutes are over.
        """
        timer = threading.Timer(60 * (self.minutes or 0), self._interrupt)
        timer.daemon = True
        if self.minutes:
            timer.start()
        try:
            yield
        except (TrainingStopped, KeyboardInterrupt):
            self.check()
            raise
        finally:
            timer.cancel()

    def check(self) -> None:
        """Raises ``TimeIsUp`` if the minutes are over.

        A training whose last step is over when the signal comes ends like any other, so whoever trains asks afterwards.
        """
        if self._is_over.is_set():
            raise TimeIsUp(f"{self.minutes:g} minutes are over; the same command goes on") from None

    def _interrupt(self) -> None:
        self._is_over.set()
        os.kill(os.getpid(), signal.SIGINT)
