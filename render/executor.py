"""Runs jobs on workers that may crash, hang or vanish; an engine says where the workers are."""

import contextlib
import time
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Literal, Protocol

from pebble import ProcessExpired

from render.device_choice import DeviceChoice
from render.limits import Limits, limits_of
from render.plan import Job
from render.retries import Attempt, JobOutcome, JobQueue, TimedOut, WorkerLost, blame_and_reason
from render.worker import RenderResult
from shards.errors import IebenchError
from shards.files import DISK_ERRORS

EngineName = Literal["local", "ray"]
FAILED_STARTS = 5
"""Number of workers in a row, beyond one for each worker asked for, that may die before they are ready."""
_DEATHS = (ProcessExpired, BrokenProcessPool, WorkerLost, TimedOut)
_LONGEST_WAIT = 1.0  # seconds
_GRACE = 60.0
"""Seconds beyond the limits of all steps of a job, after which its worker is stopped as unreachable."""


@dataclass(frozen=True)
class Execution:
    """Settings of the processes that run jobs.

    Attributes:
        workers: The number of render processes; None means all cores, or a few for each GPU.
        timeout: Seconds for reading a model and for each of its views; None means what size and samples suggest.
        engine: ``local`` runs on this machine, ``ray`` on a Ray cluster.
        device: Device of each worker.
        mix_devices: Whether a dataset that was begun on another kind of device may be continued.
    """

    workers: int | None = None
    timeout: float | None = None
    engine: EngineName = "local"
    device: DeviceChoice = "auto"
    mix_devices: bool = False


class Worker(Protocol):
    """A process somewhere with a Blender of its own, which does one thing at a time.

    The futures it hands out fail with what the job raised, with pebble's ``ProcessExpired`` or
    ``BrokenProcessPool`` where the process died, and with ``WorkerLost`` where nobody knows.
    """

    def start(self) -> Future[None]:
        """Gets Blender ready."""

    def submit(self, job: Job) -> Future[RenderResult]:
        """Renders an object.

        Raises:
            WorkerLost: The process is gone already; the job has not begun.
        """

    def stop(self) -> None:
        """Ends the process, whatever it is doing, and waits until it is gone."""


class Engine(Protocol):
    """The interface of sources of workers.

    Attributes:
        workers: Number of workers that there should be.
        kind: Kind of device that all of them render on.
        description: Sentence for the person that says on which devices the workers render.
    """

    workers: int
    kind: str
    description: str

    def worker(self) -> Worker:
        """A new one, not started."""

    def close(self) -> None:
        """Ends what the engine itself holds; all workers are stopped by then."""


def open_engine(execution: Execution, first: Job) -> Engine:
    """Opens the engine that is asked for; the settings and the staging folder of any one job are those of all.

    Raises:
        UsageError: It is not installed here, or there is no such device.
        IebenchError: It cannot be reached.
    """
    limits = limits_of(first.settings.render, execution.timeout)
    if execution.engine == "ray":
        from render.cluster import RayEngine

        return RayEngine(first, execution.workers, execution.device, limits)
    from render.local import LocalEngine

    return LocalEngine(first, execution.workers, execution.device, limits)


def run_jobs(jobs: Iterable[Job], engine: Engine, limits: Limits) -> Generator[JobOutcome, None, None]:
    """Runs jobs, and tries failed ones again by the rules in ``render.retries``.

    Two workers and three jobs, of which the second crashes Blender once::

        turn   ``wait`` brings       what follows
        1      (nothing yet)         jobs 1 and 2 are taken from the iterable; workers A and B are starting
        2      A has started         A renders 1
        3      B has started         B renders 2
        4      1 is done             its outcome is yielded; 3 is taken; A renders 3
        5      B's process died      B is stopped, 2 stands before all others again, and C is starting
        6      C has started         C renders 2
        7      nothing in a second   attempts over their deadline would be given up here
        8      3 is done, then 2     both outcomes are yielded; A and C are stopped

    Args:
        jobs: Jobs to run; each is taken when a worker is free for it.
        engine: Source of the workers.
        limits: Time limits of each step. Alarms in the workers enforce them; this process only gives up a job that
            is far over its limits.

    Yields:
        One outcome per job, as they end.

    Raises:
        IebenchError: The workers cannot start, or the models cannot be read.
        OSError: The disk is full.
    """
    jobs = iter(jobs)
    first = next(jobs, None)
    if first is None:
        return
    queue = JobQueue(chain([first], jobs))
    crew = _Crew(engine, limits, first.staging / "logs")
    try:
        while True:
            queue.fill(engine.workers - crew.busy)
            if not queue and not crew.busy:
                return
            crew.staff(len(queue) + crew.busy)
            while crew.idle and (attempt := queue.take(crew.busy)):
                if not crew.give(attempt):
                    queue.put_back(attempt)
            for attempt, end in crew.wait():
                if isinstance(end, RenderResult):
                    queue.succeeded()
                    yield JobOutcome(attempt.job, end, "", attempt.number)
                elif outcome := queue.failed(attempt, end, crew.busy):
                    yield outcome
    finally:
        crew.dismiss()


@dataclass(frozen=True)
class _Task:
    """The work of a worker, which is starting if there is no attempt."""

    worker: Worker
    attempt: Attempt | None = None
    deadline: float = float("inf")  # of time.monotonic()


class _Crew:
    """The workers of one run: starting, idle or busy."""

    def __init__(self, engine: Engine, limits: Limits, logs: Path) -> None:
        self._engine = engine
        self._limits = limits
        self._logs = logs
        self._tasks: dict[Future, _Task] = {}
        self._done: SimpleQueue[Future] = SimpleQueue()
        self._failed_starts = 0
        self._looked = time.monotonic()
        self.idle: list[Worker] = []
        self.busy = 0
        """Number of workers that run a job."""

    def staff(self, jobs: int) -> None:
        """Starts workers until there are as many as the engine wants, or as there are jobs."""
        for _ in range(min(self._engine.workers, jobs) - len(self._tasks) - len(self.idle)):
            worker = self._engine.worker()
            self._watch(worker.start(), _Task(worker))

    def give(self, attempt: Attempt) -> bool:
        """Gives an attempt to an idle worker; returns False if that worker is gone."""
        worker = self.idle.pop()
        try:
            future = worker.submit(attempt.job)
        except WorkerLost:
            worker.stop()
            return False
        longest = self._limits.loading + attempt.job.settings.views * self._limits.view + _GRACE
        self.busy += 1
        self._watch(future, _Task(worker, attempt, time.monotonic() + longest))
        return True

    def wait(self) -> Iterator[tuple[Attempt, RenderResult | BaseException]]:
        """Waits up to a second, and yields attempts that ended, each with its result or its error."""
        with contextlib.suppress(Empty):
            future = self._done.get(timeout=_LONGEST_WAIT)
            task = self._tasks.pop(future, None)  # none if it was over its time
            if task is not None and task.attempt is None:
                self._started(task.worker, future.exception())
            elif task is not None and task.attempt is not None:
                self.busy -= 1
                yield task.attempt, self._end(task.worker, future)
        yield from self._overdue()

    def _watch(self, future: Future, task: _Task) -> None:
        self._tasks[future] = task
        future.add_done_callback(self._done.put)  # polling a thousand futures would take too long

    def _overdue(self) -> Iterator[tuple[Attempt, TimedOut]]:
        now = time.monotonic()
        if now - self._looked < _LONGEST_WAIT:
            return
        self._looked = now
        late = [future for future, task in self._tasks.items() if now > task.deadline]
        for future in late:
            task = self._tasks.pop(future)
            task.worker.stop()
            if task.attempt is not None:
                self.busy -= 1
                yield task.attempt, TimedOut("it took longer than all of its views may take together")

    def dismiss(self) -> None:
        """Ends all workers."""
        workers = [*self.idle, *(task.worker for task in self._tasks.values())]
        if workers:
            with ThreadPoolExecutor(len(workers)) as threads:  # each may take a while to be gone
                list(threads.map(lambda worker: worker.stop(), workers))

    def _started(self, worker: Worker, error: BaseException | None) -> None:
        if error is None:
            self._failed_starts = 0
            self.idle.append(worker)
            return
        worker.stop()
        self._failed_starts += 1
        _raise_what_concerns_all(error)
        if not isinstance(error, _DEATHS) or self._failed_starts > FAILED_STARTS + self._engine.workers:
            raise IebenchError(
                f"the render processes end before they can work ({blame_and_reason(error)[1]}); "
                f"see {self._logs} and `iebench doctor`"
            ) from None

    def _end(self, worker: Worker, future: "Future[RenderResult]") -> RenderResult | BaseException:
        error = future.exception()
        if isinstance(error, _DEATHS):
            worker.stop()
            return error
        self.idle.append(worker)
        if error is None:
            return future.result()
        if not isinstance(error, IebenchError):
            _raise_what_concerns_all(error)
        return error


def _raise_what_concerns_all(error: BaseException) -> None:
    """A full disk, or a device that is not there, is no fault of one job."""
    if isinstance(error, IebenchError) or (isinstance(error, OSError) and error.errno in DISK_ERRORS):
        raise error
