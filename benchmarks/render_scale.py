"""How fast one process deals out jobs, and how long workers wait for it, by their number; the workers are fake.

    python benchmarks/render_scale.py --workers 1024 --seconds 2

A fake worker takes a random time for a job and gives the answer by a future, as a Ray actor does.
"""

import heapq
import random
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

import click

from render.catalog import ObjectRef
from render.executor import run_jobs
from render.limits import Limits
from render.plan import Job, PlanSettings
from render.worker import Rendered

_NEVER = Limits(1e6, 1e6)


class _Clock(threading.Thread):
    """Ends jobs when their time has come."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._due: list[tuple[float, int, Future, float]] = []
        self._changed = threading.Condition()
        self._count = 0

    def end_later(self, future: Future, seconds: float) -> None:
        """Ends a job after so many seconds."""
        with self._changed:
            self._count += 1
            due = time.perf_counter() + seconds
            heapq.heappush(self._due, (due, self._count, future, seconds))
            if self._due[0][2] is future:
                self._changed.notify()

    def run(self) -> None:
        """Ends jobs for ever."""
        while True:
            with self._changed:
                while not self._due or (left := self._due[0][0] - time.perf_counter()) > 0:
                    self._changed.wait(left if self._due else None)
                _, _, future, seconds = heapq.heappop(self._due)
            future.set_result(Rendered(50, seconds))


class _Engine:
    kind, description = "cpu", "fake workers"

    def __init__(self, workers: int, seconds: float, seed: int = 0) -> None:
        self.workers = workers
        self.seconds = seconds
        self.chance = random.Random(seed)
        self.clock = _Clock()
        self.clock.start()
        self.waited = 0.0

    def worker(self) -> "_Worker":
        """A worker that is ready at once."""
        return _Worker(self)

    def close(self) -> None:
        """There is nothing to close."""


class _Worker:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._free_since: float | None = None

    def start(self) -> Future:
        future: Future = Future()
        future.set_result(None)
        return future

    def submit(self, job: Job) -> Future:
        if self._free_since is not None:
            self._engine.waited += time.perf_counter() - self._free_since
        future: Future = Future()
        future.add_done_callback(self._ended)
        if self._engine.seconds:
            self._engine.clock.end_later(future, self._engine.chance.uniform(0.5, 1.5) * self._engine.seconds)
        else:
            future.set_result(Rendered(50, 0.0))
        return future

    def stop(self) -> None:
        """There is nothing to stop."""

    def _ended(self, _: Future) -> None:
        self._free_since = time.perf_counter()


@click.command()
@click.option("--workers", default=1024, show_default=True)
@click.option("--seconds", default=2.0, show_default=True, help="Of a job; 22 is usual for 50 views.")
@click.option("--objects", default=10_000, show_default=True)
def main(workers: int, seconds: float, objects: int) -> None:
    """Prints jobs/s dealt to workers that take no time, and the share of time that workers wait for a job."""
    with tempfile.TemporaryDirectory() as folder:
        jobs = [
            Job(ObjectRef("class", f"{number:06d}", Path(folder), 0, "train"), PlanSettings(), Path(folder))
            for number in range(objects)
        ]
        begin, used = time.perf_counter(), time.process_time()
        dealt = sum(1 for _ in run_jobs(jobs, _Engine(workers, 0.0), _NEVER))
        took, used = time.perf_counter() - begin, time.process_time() - used
        click.echo(
            f"{dealt:,} jobs to {workers:,} workers: {dealt / took:,.0f} jobs/s ({dealt / used:,.0f} by CPU time)"
        )
        engine = _Engine(workers, seconds)
        begin = time.perf_counter()
        dealt = sum(1 for _ in run_jobs(jobs, engine, _NEVER))
        took = time.perf_counter() - begin
        click.echo(
            f"{seconds:g} s a job: {dealt / took:,.0f} jobs/s, workers waiting {engine.waited / dealt / seconds:.2%}"
        )


if __name__ == "__main__":
    main()
