"""Renders a dataset: runs a plan's jobs, seals its shards and writes its index.

A run can be stopped at any moment and started again; it goes on where it was.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from render.catalog import ObjectRef, classes_of
from render.executor import Execution, run_jobs
from render.failures import FAILURES_NAME, Failure, Failures
from render.part import Part
from render.plan import Job, Plan, ShardPlan, require_same_settings
from render.staging import FOLDER_NAME, Channels, PixelSums, SealedShard, Staging
from render.worker import require_blender
from shards.card import card_text
from shards.errors import IebenchError, UsageError
from shards.files import write_text
from shards.reader import read_shard
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo, SplitInfo, parse_index
from shards.writer import seal_shard


class Progress(Protocol):
    """Told how a render goes; the CLI draws a bar."""

    def start(self, total: int, done: int) -> None:
        """``total`` views in all, of which ``done`` are there already."""

    def advance(self, views: int) -> None:
        """So many more views are there."""

    def failed(self, item: ObjectRef, reason: str) -> None:
        """An object could not be rendered."""


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        index: of the dataset; None after a part of it, since only a run over all writes it.
        failures: what failed.
        rendered_views: how many views this run rendered.
        shards: how many shards were this run's to do.
    """

    index: DatasetIndex | None
    failures: tuple[Failure, ...]
    rendered_views: int
    shards: int


def render_dataset(
    plan: Plan, out: Path, execution: Execution, progress: Progress, part: Part | None = None
) -> Summary:
    """Renders what is missing of a planned dataset.

    Args:
        plan: what the dataset holds.
        out: its folder; new, or begun by the same plan.
        execution: how its jobs are run.
        progress: told how it goes.
        part: renders this share of the shards only; a run without one finishes the dataset.

    Raises:
        UsageError: ``out`` holds something else, or another process renders into it, or there is no Blender.
        IebenchError: no object could be rendered, or the disk is full.
    """
    require_blender()
    _require_ours(out, plan)
    staging = Staging(out, part)
    try:
        staging.begin(plan.settings.model_dump_json(), lambda: _require_ours(out, plan))
        run = _Run(plan, out, staging, part)
        rendered = run.render(execution, progress)
        index = run.finish() if part is None else None
        if part is None:
            staging.remove()
        return Summary(index, tuple(run.failures), rendered, len(run.shards))
    finally:
        staging.release()


class _Run:
    """One run over a plan: which shards are sealed, which objects are missing."""

    def __init__(self, plan: Plan, out: Path, staging: Staging, part: Part | None) -> None:
        self._plan = plan
        self._out = out
        self._staging = staging
        self.shards = plan.shards if part is None else part.shards(plan.shards)
        if part is None:
            self.failures = Failures(out / FAILURES_NAME)
            self.failures.absorb(staging.part_failures())
        else:
            beside = (out / FAILURES_NAME, *staging.part_failures())
            self.failures = Failures(staging.failures_path(part), beside)
        index_path = out / INDEX_NAME
        self._earlier = parse_index(index_path) if index_path.is_file() else None
        self._adopt_finished_shards()

    def render(self, execution: Execution, progress: Progress) -> int:
        """Renders all missing objects, sealing each shard once its objects are there; returns the views."""
        jobs, shard_of, pending = self._missing()
        views = self._plan.settings.views
        objects = sum(len(shard.objects) for shard in self.shards)
        progress.start(objects * views, (objects - len(jobs)) * views)
        rendered = 0
        with contextlib.closing(run_jobs(jobs, execution)) as outcomes:
            for outcome in outcomes:
                item = outcome.job.item
                if outcome.rendered is None:
                    self.failures.add(item, outcome.reason, outcome.attempts)
                    progress.failed(item, outcome.reason)
                else:
                    rendered += outcome.rendered.views
                progress.advance(views)
                shard = shard_of[item]
                pending[shard.name] -= 1
                if not pending[shard.name]:
                    self._seal(shard)
        return rendered

    def _missing(self) -> tuple[list[Job], dict[ObjectRef, ShardPlan], dict[str, int]]:
        """The jobs to do, the shard of each one's object, and how many each shard lacks.

        Shards that lack none are sealed.
        """
        jobs: list[Job] = []
        shard_of: dict[ObjectRef, ShardPlan] = {}
        pending: dict[str, int] = {}
        for shard in self.shards:
            if self._is_complete(shard):
                self._staging.forget(shard.objects)
                continue
            missing = [
                item for item in shard.objects if not (self._staging.holds(item) or item in self.failures)
            ]
            pending[shard.name] = len(missing)
            shard_of.update((item, shard) for item in missing)
            jobs += [self._plan.job(item, self._staging.folder) for item in missing]
            if not missing:
                self._seal(shard)
        return jobs, shard_of, pending

    def finish(self) -> DatasetIndex:
        """Writes the index, the dataset card and the list of failures."""
        self.failures.write()
        sealed = {shard.name: self._staging.sealed(shard.name) for shard in self._plan.shards}
        infos = {split: tuple(self._infos(split, sealed)) for split in ("train", "val")}
        if not any(infos.values()):
            raise IebenchError(
                f"none of the {len(self._plan.objects)} objects could be rendered; "
                f"{self._out / FAILURES_NAME} says why for each"
            )
        mean, std = self._channel_statistics(infos, sealed)
        settings = self._plan.settings
        index = DatasetIndex(
            variant=settings.variant,
            latents=settings.latents,
            classes=classes_of(self._plan.objects),
            image_size=settings.render.image_size,
            views_per_object=settings.views,
            seed=settings.seed,
            channel_order=settings.render.channel_order,
            passes=settings.render.passes,
            channel_mean=mean,
            channel_std=std,
            renderer=settings.model_dump(mode="json"),
            splits={
                split: SplitInfo(
                    shards=shards,
                    objects=sum(shard.objects for shard in shards),
                    views=sum(shard.views for shard in shards),
                )
                for split, shards in infos.items()
            },
        )
        write_text(self._out / "README.md", card_text(index))
        write_text(self._out / INDEX_NAME, index.to_json())
        return index

    def _adopt_finished_shards(self) -> None:
        """Where the dataset was whole once, its index speaks for the shards that are still there."""
        if self._earlier is None:
            return
        own = {shard.name for shard in self.shards}
        for split in self._earlier.splits.values():
            for info in split.shards:
                if info.name in own and self._staging.sealed(info.name) is None:
                    self._staging.record_shard(SealedShard(info=info))

    def _is_complete(self, shard: ShardPlan) -> bool:
        sealed = self._staging.sealed(shard.name)
        failed = sum(item in self.failures for item in shard.objects)
        return (sealed.info.objects if sealed else 0) + failed == len(shard.objects)

    def _seal(self, shard: ShardPlan) -> None:
        items = [item for item in shard.objects if self._staging.holds(item)]
        if not items:
            return
        info = seal_shard(self._out / shard.name, self._staging.samples(items), len(items))
        self._staging.record_shard(SealedShard(info=info, pixels=self._staging.pixels(items)))
        self._staging.forget(items)

    def _infos(self, split: str, sealed: dict[str, SealedShard | None]) -> Iterator[ShardInfo]:
        for shard in self._plan.shards:
            record = sealed[shard.name]
            if shard.split == split and record is not None:
                yield record.info

    def _channel_statistics(
        self, infos: dict[str, tuple[ShardInfo, ...]], sealed: dict[str, SealedShard | None]
    ) -> tuple[Channels, Channels]:
        """Mean and deviation of the training views (of all views where none is for training)."""
        shards = infos["train"] or infos["val"]
        earlier = self._earlier.splits if self._earlier is not None else {}
        if self._earlier and shards == (earlier["train"].shards or earlier["val"].shards):
            return self._earlier.channel_mean, self._earlier.channel_std
        total = PixelSums()
        for info in shards:
            record = sealed[info.name]
            known = record.pixels if record is not None else None
            total += known or _pixels_of_shard(self._out, info)
        return total.mean_and_std()


def _require_ours(out: Path, plan: Plan) -> None:
    """Makes sure that ``out`` is new, empty, or a dataset of this very plan.

    Raises:
        UsageError: it holds something else.
    """
    index_path, begun = out / INDEX_NAME, out / FOLDER_NAME / "settings.json"
    if index_path.is_file():
        recorded = parse_index(index_path).renderer
        require_same_settings(recorded, plan.settings, out)
    elif begun.is_file():
        require_same_settings(begun.read_text(), plan.settings, out)
    elif out.exists() and (not out.is_dir() or any(item.name != FOLDER_NAME for item in out.iterdir())):
        raise UsageError(f"{out} exists and holds no dataset of ours; choose a folder that is new or empty")


def _pixels_of_shard(folder: Path, shard: ShardInfo) -> PixelSums:
    return sum((PixelSums.of(view.pixels()) for view in read_shard(folder, shard)), start=PixelSums())
