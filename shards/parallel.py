"""Jobs of one kind, in several processes of this machine."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
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
    pools = [_one_process() for _ in range(workers)]
    try:
        yield from _results(pools, function, jobs)
    except (ProcessExpired, BrokenProcessPool):
        raise IebenchError(
            "a worker process was ended from outside, perhaps for want of memory; "
            "run the same command again, with fewer workers where memory is short"
        ) from None
    finally:
        for pool in pools:
            pool.stop()
        for pool in pools:
            pool.join()


def _one_process() -> ProcessPool:
    """A pool of its own for each process: one that is killed may take a lock, or a job that it had not begun, along."""
    return ProcessPool(
        max_workers=1,
        context=multiprocessing.get_context("spawn"),
        initializer=_prepare,
        initargs=(os.getpid(),),
    )


def _results(
    pools: Iterable[ProcessPool], function: Callable[[Job], Result], jobs: Iterable[Job]
) -> Iterator[Result]:
    """Gives each process its next job when it has done the one before: a dataset may have thousands."""
    free = deque(pools)
    waiting = iter(jobs)
    running: dict[Future[Result], ProcessPool] = {}
    while True:
        for job in islice(waiting, len(free)):
            pool = free.popleft()
            running[_scheduled(pool, function, job)] = pool
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            free.append(running.pop(future))
            yield future.result()


def _scheduled(pool: ProcessPool, function: Callable[[Job], Result], job: Job) -> Future[Result]:
    try:
        with interrupts_held_back():  # the first job starts the process
            return pool.schedule(function, args=(job,))
    except RuntimeError as error:  # pebble's, for a pool whose process died while it was idle
        raise BrokenProcessPool from error


def _prepare(parent: int) -> None:
    leave_signals_to_parent()
    end_with_parent(parent)
