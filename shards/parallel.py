"""Jobs of one kind, in several processes of this machine."""

import multiprocessing
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from multiprocessing import resource_tracker
from typing import TypeVar

from pebble import ProcessExpired, ProcessPool

from shards.errors import IebenchError
from shards.processes import end_with_parent, interrupts_held_back, leave_signals_to_parent

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[Result, None, None]:
    """Runs jobs and yields what they return, as they end.

    Close the generator to stop: no process outlives it, nor this one.

    Args:
        function: of a module, so that other processes find it.
        jobs: what it is called with.
        workers: processes; with one, the jobs run in this process, in order.

    Raises:
        IebenchError: a process was ended from outside; and whatever a job raises.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(function, jobs)
        return
    resource_tracker.ensure_running()  # its start would end ``interrupts_held_back``
    pool = ProcessPool(
        max_workers=workers,
        context=multiprocessing.get_context("spawn"),
        initializer=_prepare,
        initargs=(os.getpid(),),
    )
    try:
        yield from _results(pool, function, jobs, 2 * workers)
        pool.close()
    except ProcessExpired:
        raise IebenchError(
            "a worker process was ended from outside, perhaps for want of memory; "
            "run the same command again, with fewer workers where memory is short"
        ) from None
    finally:
        pool.stop()
        pool.join()


def _results(
    pool: ProcessPool, function: Callable[[Job], Result], jobs: Sequence[Job], ahead: int
) -> Iterator[Result]:
    """Keeps ``ahead`` jobs in the pool, not all: a dataset may have thousands."""
    waiting = iter(jobs)
    running: set[Future[Result]] = set()
    while True:
        for job in waiting:
            with interrupts_held_back():  # the first starts the pool
                running.add(pool.schedule(function, args=(job,)))
            if len(running) >= ahead:
                break
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            yield future.result()


def _prepare(parent: int) -> None:
    leave_signals_to_parent()
    end_with_parent(parent)
