"""Runs jobs of one kind in several processes of this machine."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from typing import TypeVar

from pebble import ProcessExpired

from shards.child_processes import end_with_parent, leave_signals_to_parent
from shards.errors import IebenchError
from shards.one_process import OneProcess

Job = TypeVar("Job")
Result = TypeVar("Result")


def run_parallel(
    function: Callable[[Job], Result], jobs: Sequence[Job], workers: int
) -> Generator[Result, None, None]:
    """Runs jobs and yields their results in the order in which they finish.

    Closing the generator stops all processes. They also end if this process dies.

    Args:
        function: Function of one job, at the top level of a module, so that it can be pickled.
        jobs: Arguments of the function.
        workers: Number of processes; with one, the jobs run in this process, in order.

    Raises:
        IebenchError: A process was killed. An error of a job is raised as it is.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        yield from map(function, jobs)
        return
    processes = [OneProcess(_prepare, os.getpid()) for _ in range(workers)]
    try:
        yield from _results(processes, function, jobs)
    except (ProcessExpired, BrokenProcessPool):
        raise IebenchError(
            "a worker process was ended from outside, perhaps for want of memory; "
            "run the same command again, with fewer workers where memory is short"
        ) from None
    finally:
        for process in processes:
            process.stop()
        for process in processes:
            process.join()


def _results(
    processes: Iterable[OneProcess], function: Callable[[Job], Result], jobs: Iterable[Job]
) -> Iterator[Result]:
    """Gives each process a new job when it has finished the previous one, and yields the results."""
    free = deque(processes)
    waiting = iter(jobs)
    running: dict[Future[Result], OneProcess] = {}
    while True:
        for job in islice(waiting, len(free)):
            process = free.popleft()
            running[process.submit(function, job)] = process
        if not running:
            return
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            free.append(running.pop(future))
            yield future.result()


def _prepare(parent: int) -> None:
    leave_signals_to_parent()
    end_with_parent(parent)
