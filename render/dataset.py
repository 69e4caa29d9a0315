"""Renders a dataset: runs a plan's jobs, seals its shards and writes its index.

A run can be stopped at any moment and started again; it goes on where it was.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

from render.catalog import ObjectRef, classes_of
from render.devices import DeviceChoice
from render.executor import Execution, open_engine, run_jobs
from render.limits import limits_of
from render.part import Part
from render.plan import Job, Plan
from render.staging import FOLDER_NAME, SETTINGS_NAME, Staging
from render.worker import require_blender
from shards.catalogue import ShardPlan
from shards.completion import complete_dataset
from shards.errors import IebenchError
from shards.failures import FAILURES_NAME, Failure, Failures
from shards.geometry import scene_camera
from shards.growth import is_moved, move_aside, require_grown, shards_aside, sources_of
from shards.lists import Name
from shards.parallel import run_parallel
from shards.pixels import Channels, PixelSums
from shards.processes import available_cores
from shards.progress import Progress
from shards.salvage import SalvageJob, read_objects_if, salvage
from shards.samples import Sample, is_unchanged
from shards.schema import INDEX_NAME, DatasetIndex, SplitInfo, parse_index
from shards.sealed import RowsOfShard, SealedShard, keep_rows
from shards.settings import require_ours
from shards.writer import seal_shard

Kept = dict[Name, tuple[Path, PixelSums]]
"""Sound objects, each with the file that it is in and the sums of its pixels."""


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Attributes:
        index: Index of the dataset; None after a part of it, since only a run over all writes it.
        failures: what failed.
        rendered_views: Number of views that this run rendered.
        shards: Number of shards that were this run's to do.
    """

    index: DatasetIndex | None
    failures: tuple[Failure, ...]
    rendered_views: int
    shards: int


def render_dataset(
    plan: Plan,
    out: Path,
    execution: Execution,
    progress: Progress,
    part: Part | None = None,
    repair: bool = False,
    add: bool = False,
) -> Summary:
    """Renders what is missing of a planned dataset.

    A shard that lacks an object is made anew out of the objects that are sound in it and of that one.

    Args:
        plan: what the dataset holds.
        out: its folder; new, or begun by the same plan.
        execution: Engine, workers and device that run the jobs.
        progress: told how it goes.
        part: renders this share of the shards only; a run without one finishes the dataset.
        repair: Reads all sealed shards first, and renders what is damaged in them.
        add: The dataset may have been made of fewer objects; of those that the plan adds, the views are rendered.

    Raises:
        UsageError: ``out`` holds something else, or another process renders into it, or there is no Blender.
        IebenchError: no object could be rendered, or the disk is full.
    """
    require_blender()
    _require_ours(plan, out, add)
    staging = Staging(out, part)
    try:
        staging.begin(plan.settings.model_dump_json(), lambda: _prepare(plan, staging, add))
        run = _Run(plan, out, staging, part)
        if repair:
            staging.shards.find_damage(run.shards, _readers(execution))
        rendered = run.render(execution, progress)
        index = run.finish() if part is None else None
        if part is None:
            staging.remove()
        return Summary(index, tuple(run.failures), rendered, len(run.shards))
    finally:
        staging.release()


def _require_ours(plan: Plan, out: Path, add: bool) -> None:
    """Makes sure that a folder is for this plan, whatever devices rendered what is there."""
    path = out / INDEX_NAME
    settings = plan.settings
    if path.is_file():
        index = parse_index(path)
        settings = settings.model_copy(update={"devices": tuple(index.renderer.get("devices", ()))})
        if add:
            settings = settings.model_copy(
                update={"catalogue_sha256": require_grown(out, index, plan.objects)}
            )
    require_ours(out, out / FOLDER_NAME / SETTINGS_NAME, settings, "rendered")


def _prepare(plan: Plan, staging: Staging, add: bool) -> None:
    """Makes sure that a folder is for this plan; where objects are added, moves shards aside that they displace."""
    _require_ours(plan, staging.out, add)
    if add or is_moved(staging.folder):
        move_aside(staging.shards, staging.folder, plan.shards, _rows_of(plan, staging))


def _rows_of(plan: Plan, staging: Staging) -> RowsOfShard:
    """Gives the rows of ``latents.parquet`` for a sealed shard."""
    return partial(staging.shards.rows, latents=plan.settings.latents, passes=plan.settings.render.passes)


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
        self._rows = _rows_of(plan, staging)
        self._kept: dict[str, Kept] = {}
        staging.shards.adopt(self.shards)

    def render(self, execution: Execution, progress: Progress) -> int:
        """Renders all missing objects, sealing each shard once its objects are there; returns the views."""
        jobs, shard_of, pending = self._missing(_readers(execution))
        views = self._plan.settings.views
        objects = sum(len(shard.objects) for shard in self.shards)
        progress.start(objects * views, (objects - len(jobs)) * views)
        return self._run(jobs, execution, progress, shard_of, pending) if jobs else 0

    def _run(
        self,
        jobs: list[Job],
        execution: Execution,
        progress: Progress,
        shard_of: dict[ObjectRef, ShardPlan],
        pending: dict[str, int],
    ) -> int:
        views, rendered = self._plan.settings.views, 0
        limits = limits_of(self._plan.settings.render, execution.timeout)
        with (
            contextlib.closing(open_engine(self._on_known_device(execution), jobs[0])) as engine,
            contextlib.closing(run_jobs(jobs, engine, limits)) as outcomes,
        ):
            self._staging.record_device(engine.kind, execution.mix_devices)
            progress.note(engine.description)
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

    def _on_known_device(self, execution: Execution) -> Execution:
        """``auto`` goes on on what the dataset was begun on."""
        kinds = self._staging.devices()
        if execution.device != "auto" or execution.mix_devices or len(kinds) != 1:
            return execution
        return dataclasses.replace(execution, device=cast("DeviceChoice", kinds[0]))

    def _missing(self, readers: int) -> tuple[list[Job], dict[ObjectRef, ShardPlan], dict[str, int]]:
        """The jobs to do, the shard of each one's object, and how many each shard lacks.

        Shards that lack none are sealed.
        """
        jobs: list[Job] = []
        shard_of: dict[ObjectRef, ShardPlan] = {}
        pending: dict[str, int] = {}
        unfinished: dict[str, tuple[ShardPlan[ObjectRef], list[ObjectRef]]] = {}
        for shard in self.shards:
            if self._staging.shards.is_complete(shard, self.failures, self._rows):
                self._staging.forget(shard.objects)
                continue
            lacking = [
                item for item in shard.objects if not (self._staging.holds(item) or item in self.failures)
            ]
            unfinished[shard.name] = shard, lacking
        self._kept = self._salvaged(list(unfinished.values()), readers)
        for shard, lacking in unfinished.values():
            kept = self._kept.get(shard.name, {})
            missing = [item for item in lacking if (item.synset, item.object_id) not in kept]
            pending[shard.name] = len(missing)
            shard_of.update((item, shard) for item in missing)
            jobs += [self._plan.job(item, self._staging.folder) for item in missing]
            if not missing:
                self._seal(shard)
        return jobs, shard_of, pending

    def _salvaged(
        self, shards: Sequence[tuple[ShardPlan[ObjectRef], list[ObjectRef]]], readers: int
    ) -> dict[str, Kept]:
        """By shard, the objects that need not be rendered again, as they are sound in a file that is there."""
        contract = self._index({}, *PixelSums().mean_and_std())
        aside = shards_aside(self._staging.folder)
        jobs = [
            SalvageJob(path, ShardPlan(shard.name, shard.split, objects), contract)
            for shard, lacking in shards
            for path, objects in sources_of(self._out / shard.name, lacking, aside)
        ]
        kept: dict[str, Kept] = {}
        with contextlib.closing(run_parallel(salvage, jobs, readers)) as results:
            for found in results:
                own = kept.setdefault(found.shard, {})
                own.update({name: (found.path, pixels) for name, pixels in found.pixels.items()})
        return kept

    def finish(self) -> DatasetIndex:
        """Writes the index, the dataset card and the list of failures."""
        self.failures.write()
        splits = self._staging.shards.splits(self._plan.shards)
        if not any(split.views for split in splits.values()):
            raise IebenchError(
                f"none of the {len(self._plan.objects)} objects could be rendered; "
                f"{self._out / FAILURES_NAME} says why for each"
            )
        mean, std = self._staging.shards.channel_statistics(splits, self._plan.settings.render.channel_order)
        return complete_dataset(self._out, self._index(splits, mean, std), self._rows)

    def _index(self, splits: dict[str, SplitInfo], mean: Channels, std: Channels) -> DatasetIndex:
        settings = self._plan.settings
        return DatasetIndex(
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
            renderer={**settings.model_dump(mode="json"), "devices": list(self._staging.devices())},
            splits=splits,
            camera=scene_camera(settings.render.image_size) if settings.render.passes else None,
        )

    def _seal(self, shard: ShardPlan[ObjectRef]) -> None:
        """Makes a shard of the objects that are staged, and of those that are sound in it already."""
        staged = [item for item in shard.objects if self._staging.holds(item)]
        kept = self._kept.pop(shard.name, {})
        if not staged and (not kept or self._staging.shards.get(shard.name) is not None):
            return
        info = seal_shard(self._out / shard.name, self._samples(shard, kept), len(staged) + len(kept))
        settings = self._plan.settings
        keep_rows(
            self._staging.records, self._out, shard.split, info, settings.latents, settings.render.passes
        )
        pixels = sum((sums for _, sums in kept.values()), start=self._staging.pixels(staged))
        self._staging.shards.record(SealedShard(info=info, pixels=pixels))
        self._staging.forget(staged)

    def _samples(self, shard: ShardPlan[ObjectRef], kept: Kept) -> Iterator[Sample]:
        """The samples of all objects of a shard, in order, some of them out of shards as they are now."""
        place = {
            item: kept[name][0] for item in shard.objects if (name := (item.synset, item.object_id)) in kept
        }
        old = {
            path: read_objects_if(
                path,
                [item for item, source in place.items() if source == path],
                self._plan.settings.views,
                lambda sample: is_unchanged(sample) is True,
            )
            for path in set(place.values())
        }
        for item in shard.objects:
            if path := place.get(item):
                found, samples = next(old[path], (None, []))
                if found != item:
                    raise IebenchError(f"shard {path} was altered meanwhile; run the same command again")
                yield from samples
            elif self._staging.holds(item):
                yield from self._staging.samples([item])


def _readers(execution: Execution) -> int:
    """How many processes read sealed shards."""
    cores = available_cores()
    return cores if execution.workers is None else min(execution.workers, cores)
