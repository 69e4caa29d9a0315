"""Ways to run jobs in other processes; each takes the same arguments and yields the same outcomes."""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice

from pebble import ProcessExpired, ProcessPool

from render.plan import Job
from render.worker import Rendered, render_object, start_worker
from shards.errors import IebenchError
from shards.files import DISK_ERRORS

JOBS_IN_FLIGHT_PER_WORKER = 2


@dataclass(frozen=True)
class Outcome:
    """How a job ended: with ``rendered``, or with a ``reason`` after so many ``attempts``."""

    job: Job
    rendered: Rendered | None
    reason: str
    attempts: int


@dataclass
class _Attempt:
    job: Job
    number: int


def run_local(
    jobs: Iterable[Job], workers: int, timeout: float, attempts: int = 2
) -> Generator[Outcome, None, None]:
    """Runs jobs in a pool of processes on this machine, in which a process may crash or hang.

    A job that crashes or hangs its process is tried again in a fresh one; a model that Blender reads but
    refuses is not, since it would be refused again.

    Args:
        jobs: what to run; a few at a time are in flight.
        workers: number of processes, each with a Blender of its own.
        timeout: seconds after which a job counts as hung.
        attempts: how often a job is tried in all.

    Yields:
        One outcome per job, as they end.

    Raises:
        IebenchError: the processes themselves cannot start, or the disk is full.
    """
    waiting = deque[_Attempt]()
    source = iter(jobs)
    first = next(source, None)
    if first is None:
        return
    waiting.append(_Attempt(first, 1))
    pool = ProcessPool(
        max_workers=workers,
        initializer=start_worker,
        initargs=(first.settings.render, first.staging, os.getpid()),
        context=multiprocessing.get_context("spawn"),
    )
    running: dict[Future, _Attempt] = {}
    try:
        while True:
            room = max(0, workers * JOBS_IN_FLIGHT_PER_WORKER - len(running) - len(waiting))
            waiting.extend(_Attempt(job, 1) for job in islice(source, room))
            while waiting:
                attempt = waiting.popleft()
                running[pool.schedule(render_object, args=(attempt.job,), timeout=timeout)] = attempt
            if not running:
                break
            done, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
            for future in done:
                attempt = running.pop(future)
                outcome = _outcome(future, attempt, attempts, timeout)
                if outcome is None:
                    waiting.append(_Attempt(attempt.job, attempt.number + 1))
                else:
                    yield outcome
    finally:
        pool.stop()
        pool.join()


def _outcome(future: Future, attempt: _Attempt, attempts: int, timeout: float) -> Outcome | None:
    """The end of a job, or None where it should be tried again."""
    try:
        return Outcome(attempt.job, future.result(), "", attempt.number)
    except IebenchError as error:
        return Outcome(attempt.job, None, str(error), attempt.number)
    except BrokenProcessPool:
        raise IebenchError(
            "the render processes end before they can work; "
            f"see {attempt.job.staging / 'logs'} and `iebench doctor`"
        ) from None
    except TimeoutError:
        reason = f"it took longer than {timeout:g} s"
    except ProcessExpired as error:
        reason = _death(error.exitcode)
    except Exception as error:
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise
        reason = f"{type(error).__name__}: {error}"
    if attempt.number < attempts:
        return None
    return Outcome(attempt.job, None, reason, attempt.number)


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"Blender was ended by {signal.Signals(-exit_code).name}"
    return f"Blender ended with exit code {exit_code}"
