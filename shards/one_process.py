"""A process that works for this one, job by job."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from pebble import ProcessPool

from shards.child_processes import interrupts_held_back

Result = TypeVar("Result")


class OneProcess:
    """A pool of one process, which the first job starts.

    A process that is killed may hold the lock of its pool, leave half a message in its pipe, or take along a job
    that it had not begun. So each has a pool of its own.

    Args:
        initializer: called in the process before its first job.
        arguments: Arguments of the initializer.
    """

    def __init__(self, initializer: Callable[..., None] | None = None, *arguments: Any) -> None:
        resource_tracker.ensure_running()  # its start would end ``interrupts_held_back``
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(
            max_workers=1, context=context, initializer=initializer, initargs=list(arguments)
        )

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Hands over a job.

        Raises:
            BrokenProcessPool: the process died while it was idle.
        """
        try:
            with interrupts_held_back():  # the first job starts the process
                return self._pool.schedule(function, args=arguments)
        except RuntimeError as error:  # pebble's
            raise BrokenProcessPool("its process was ended before it could begin") from error

    def stop(self) -> None:
        """Ends the process."""
        self._pool.stop()

    def join(self) -> None:
        """Waits until it is gone."""
        self._pool.join()
