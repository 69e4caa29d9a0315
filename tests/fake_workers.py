"""Render workers that need no Blender: each job's end is what a test says."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from render.catalog import ObjectRef
from render.plan import Job, PlanSettings
from render.staging import stage_object
from render.worker import RenderResult
from shards.images import decode_jpeg, encode_jpeg
from shards.pixels import PixelSums
from shards.samples import Sample, encode_sample
from shards.schema import SampleMetadata
from toys import toy_image

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

    description = "rendering on nothing"

    def __init__(
        self, end: End, workers: int = 1, start: BaseException | None = None, kind: str = "cpu"
    ) -> None:
        self.kind = kind
        self.workers = workers
        self.tried: list[str] = []
        self.stopped = 0
        self._end = end
        self._start = start

    def worker(self) -> "FakeWorker":
        return FakeWorker(self)

    def close(self) -> None: ...

    def ended(self, job: Job) -> Future:
        """The future of an object's next attempt."""
        name = job.item.object_id
        self.tried.append(name)
        return _done(self._end(name, self.tried.count(name)))

    def started(self) -> Future:
        """The future of a worker's start."""
        return _done(self._start)


class PaintingEngine(FakeEngine):
    """An engine whose workers paint views instead of rendering them, and stage them as a render does."""

    def ended(self, job: Job) -> Future:
        future = super().ended(job)
        if future.exception() is None:
            views = [_painted(job, view) for view in range(job.settings.views)]
            pixels = sum(
                (PixelSums.from_image(decode_jpeg(view["jpg"], "")) for view in views), start=PixelSums()
            )
            stage_object(job.staging, job.item, views, pixels, self.kind)
        return future


class FakeWorker:
    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine

    def start(self) -> Future:
        return self._engine.started()

    def submit(self, job: Job) -> Future:
        return self._engine.ended(job)

    def stop(self) -> None:
        self._engine.stopped += 1


def _painted(job: Job, view: int) -> Sample:
    item, latents = job.item, job.latents(view)
    metadata = SampleMetadata(
        synset=item.synset,
        object=item.object_id,
        view=view,
        label=item.label,
        latents=tuple(latents.tolist()),
    )
    size = job.settings.render.image_size
    image = np.ascontiguousarray(toy_image(item.label, item.object_id, latents)[:size, :size])
    return encode_sample(metadata, {"jpg": encode_jpeg(image)})


def _done(error: BaseException | None) -> Future:
    future: Future = Future()
    if error is None:
        future.set_result(RenderResult(1, 0.0))
    else:
        future.set_exception(error)
    return future
