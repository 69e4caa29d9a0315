"""Runs jobs one after the other in another process."""

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
    """A pool with a single process, which starts with the first job.

    If a process of a larger pool were killed, it might hold the pool's lock, leave half a message in the pool's pipe,
    or lose a job that it had not begun. So each process has a pool of its own.

    Args:
        initializer: Function that the process calls before its first job.
        arguments: Arguments of the initializer.
    """

    def __init__(self, initializer: Callable[..., None] | None = None, *arguments: Any) -> None:
        resource_tracker.ensure_running()  # starting it inside ``interrupts_held_back`` would unblock SIGINT
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPool(
            max_workers=1, context=context, initializer=initializer, initargs=list(arguments)
        )

    def submit(self, function: Callable[..., Result], *arguments: Any) -> "Future[Result]":
        """Gives the process a job and returns the future of its result.

        Raises:
            BrokenProcessPool: The process died while it was idle.
        """
        try:
            with interrupts_held_back():  # the first job starts the process
                return self._pool.schedule(function, args=arguments)
        except RuntimeError as error:  # pebble raises this
            raise BrokenProcessPool("its process was ended before it could begin") from error

    def stop(self) -> None:
        self._pool.stop()

    def join(self) -> None:
        self._pool.join()
