"""Render workers that need no Blender: each job's end is what a test says."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

from render.catalog import ObjectRef
from render.plan import Job, PlanSettings
from render.worker import Rendered

End = Callable[[str, int], BaseException | None]
"""What becomes of an object's attempt, by its name and the attempt's number from 1; None where it is rendered."""


def jobs_named(names: str) -> list[Job]:
    """A job for each letter."""
    return [Job(ObjectRef("class", name, Path(name), 0, "train"), PlanSettings(), Path()) for name in names]


class FakeEngine:
    """An engine whose workers end each job at once.

    Attributes:
        tried: The names of the objects, attempt by attempt.
        stopped: How many workers were stopped.
    """

    kind = "cpu"
    description = "rendering on nothing"

    def __init__(self, end: End, workers: int = 1, start: BaseException | None = None) -> None:
        self.workers = workers
        self.tried: list[str] = []
        self.stopped = 0
        self._end = end
        self._start = start

    def worker(self) -> "FakeWorker":
        return FakeWorker(self)

    def close(self) -> None: ...

    def ended(self, name: str) -> Future:
        """The future of an object's next attempt."""
        self.tried.append(name)
        return _done(self._end(name, self.tried.count(name)))

    def started(self) -> Future:
        """The future of a worker's start."""
        return _done(self._start)


class FakeWorker:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def start(self) -> Future:
        return self._engine.started()

    def submit(self, job: Job) -> Future:
        return self._engine.ended(job.item.object_id)

    def stop(self) -> None:
        self._engine.stopped += 1


def _done(error: BaseException | None) -> Future:
    future: Future = Future()
    if error is None:
        future.set_result(Rendered(1, 0.0))
    else:
        future.set_exception(error)
    return future
