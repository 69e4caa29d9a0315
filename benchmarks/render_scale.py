"""How fast one process deals out jobs, seals shards beside it, and how long workers wait for it; the workers are fake.

    python benchmarks/render_scale.py --workers 1024 --seconds 22

A fake worker takes a random time for a job, leaves a finished object of 50 views of 10 kB, and gives the answer by a
future, as a Ray actor does.
"""

import heapq
import os
import random
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from unittest import mock

import click
import numpy as np

from render.catalog import ObjectRef
from render.dataset import render_dataset
from render.executor import Execution, run_jobs
from render.limits import Limits
from render.plan import Job, PlanSettings, make_plan
from render.staging import stage_object, staged_files
from render.worker import RenderResult
from shards.images import decode_jpeg, encode_jpeg
from shards.pixels import PixelSums
from shards.samples import encode_sample
from shards.schema import SampleMetadata
from shards.shard_plan import NamedObject

_NEVER = Limits(1e6, 1e6)
_SIDE = 80  # pixels; noise of this size is a JPEG of 10 kB


class _Clock(threading.Thread):
    """Ends jobs when their time has come."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._due: list[tuple[float, int, Future, float]] = []
        self._changed = threading.Condition()
        self._count = 0

    def end_later(self, future: Future, seconds: float) -> None:
        with self._changed:
            self._count += 1
            due = time.perf_counter() + seconds
            heapq.heappush(self._due, (due, self._count, future, seconds))
            if self._due[0][2] is future:
                self._changed.notify()

    def run(self) -> None:
        while True:
            with self._changed:
                while not self._due or (left := self._due[0][0] - time.perf_counter()) > 0:
                    self._changed.wait(left if self._due else None)
                _, _, future, seconds = heapq.heappop(self._due)
            future.set_result(RenderResult(50, seconds))


class _Engine:
    kind, description = "cpu", "fake workers"

    def __init__(self, workers: int, seconds: float, example: tuple[Path, Path] | None = None) -> None:
        self.workers = workers
        self.seconds = seconds
        self.example = example
        self.chance = random.Random(0)
        self.clock = _Clock()
        self.clock.start()
        self.waited = 0.0

    def worker(self) -> "_Worker":
        """A worker that is ready at once."""
        return _Worker(self)

    def close(self) -> None: ...


class _Worker:
    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._free_since: float | None = None

    def start(self) -> Future:
        future: Future = Future()
        future.set_result(None)
        return future

    def submit(self, job: Job) -> Future:
        engine = self._engine
        if self._free_since is not None:
            engine.waited += time.perf_counter() - self._free_since
        if engine.example is not None:  # which other machines would write
            for there, own in zip(engine.example, staged_files(job.staging, job.item), strict=True):
                os.link(there, own)
        future: Future = Future()
        future.add_done_callback(self._ended)
        if engine.seconds:
            engine.clock.end_later(future, engine.chance.uniform(0.5, 1.5) * engine.seconds)
        else:
            future.set_result(RenderResult(50, 0.0))
        return future

    def stop(self) -> None: ...

    def _ended(self, _: Future) -> None:
        self._free_since = time.perf_counter()


class _Silence:
    """A progress that nobody watches."""

    def start(self, total: int, done: int) -> None: ...

    def note(self, sentence: str) -> None: ...

    def advance(self, views: int) -> None: ...

    def failed(self, item: NamedObject, reason: str) -> None:
        raise AssertionError(reason)


@click.command()
@click.option("--workers", default=1024, show_default=True)
@click.option("--seconds", default=22.0, show_default=True, help="Of a job; 22 is usual for 50 views.")
@click.option("--objects", default=10_000, show_default=True, help="For jobs that take no time.")
@click.option("--rounds", default=3, show_default=True, help="Jobs of each worker in the whole run.")
def main(workers: int, seconds: float, objects: int, rounds: int) -> None:
    """Prints jobs/s dealt to workers that take no time, and how long workers wait in a whole run with sealing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = [Job(item, PlanSettings(), folder) for item in _objects(objects, folder)]
        begin, used = time.perf_counter(), time.process_time()
        dealt = sum(1 for _ in run_jobs(jobs, _Engine(workers, 0.0), _NEVER))
        took, used = time.perf_counter() - begin, time.process_time() - used
        click.echo(
            f"{dealt:,} jobs to {workers:,} workers: {dealt / took:,.0f} jobs/s ({dealt / used:,.0f} by CPU time)"
        )
        plan = make_plan(_objects(workers * rounds, folder), PlanSettings())
        engine = _Engine(workers, seconds, _example(plan.job(plan.objects[0], folder)))
        begin, used = time.perf_counter(), time.process_time()
        with mock.patch("render.dataset.open_engine", lambda *_: engine):
            summary = render_dataset(plan, folder / "out", Execution(), _Silence())
        took, used = time.perf_counter() - begin, time.process_time() - used
        size = sum(path.stat().st_size for path in (folder / "out").glob("*.tar"))
        click.echo(
            f"a whole run of {len(plan.objects):,} objects at {seconds:g} s in {summary.shards} shards "
            f"({size / 1e9:.1f} GB): {took:.1f} s, {used:.1f} s of CPU time, "
            f"workers waiting {engine.waited / (len(plan.objects) * seconds):.2%}"
        )


def _objects(count: int, folder: Path) -> list[ObjectRef]:
    return [ObjectRef("class", f"{number:06d}", folder, 0, "train") for number in range(count)]


def _example(job: Job) -> tuple[Path, Path]:
    """The files of a finished object, which stand for those of all."""
    noise = np.random.default_rng(0).integers(96, 160, (_SIDE, _SIDE, 3), dtype=np.uint8)
    jpeg = encode_jpeg(noise)
    samples = []
    for view in range(job.settings.views):
        item, latents = job.item, tuple(job.latents(view).tolist())
        metadata = SampleMetadata(
            synset=item.synset, object=item.object_id, view=view, label=0, latents=latents
        )
        samples.append(encode_sample(metadata, {"jpg": jpeg}))
    (job.staging / "objects").mkdir()
    pixels = PixelSums.from_image(decode_jpeg(jpeg, ""))
    stage_object(job.staging, job.item, samples, pixels, "cpu")
    return staged_files(job.staging, job.item)


if __name__ == "__main__":
    main()
