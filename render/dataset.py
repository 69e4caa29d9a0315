"""Renders a dataset: runs a plan's jobs, seals its shards and writes its index.

A run can be stopped at any moment and started again; it goes on where it was.
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import cast

from render.catalog import ObjectRef
from render.device_choice import DeviceChoice
from render.executor import Execution, open_engine, run_jobs
from render.limits import limits_of
from render.part import ClaimedShards, Part, ShardAssignment, WholeDataset
from render.plan import Job, Plan, RenderShard
from render.sealing import KeptObject, Sealer
from render.staging import FOLDER_NAME, Staging
from render.worker import require_blender
from shards.added_objects import is_moved, move_aside, require_only_additions, shards_aside, sources_of
from shards.child_processes import available_cores
from shards.class_names import classes_of_synsets
from shards.completion import complete_dataset
from shards.errors import IebenchError
from shards.failures import FAILURES_NAME, Failure
from shards.geometry import scene_camera
from shards.lists import Name
from shards.parallel import run_parallel
from shards.pixels import Channels, PixelSums
from shards.progress_protocol import Progress
from shards.salvage import SalvageJob, salvage
from shards.same_settings import SETTINGS_NAME, require_new_or_same_dataset
from shards.schema import INDEX_NAME, DatasetIndex, SplitInfo, parse_index
from shards.sealed import RowsOfShard
from shards.shard_plan import ShardPlan


@dataclass(frozen=True)
class RenderSummary:
    """The outcome of a run.

    Attributes:
        index: Index of the dataset; None after a part of it, since only a run over all writes it.
        failures: Objects that failed.
        rendered_views: Number of views that this run rendered.
        shards: Number of shards that lacked something.
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
) -> RenderSummary:
    """Renders what is missing of a planned dataset.

    A shard that lacks objects is made again from its intact objects and the missing ones.

    Args:
        plan: Plan of the dataset.
        out: Folder of the dataset; new, or begun by the same plan.
        execution: Settings of the processes that run the jobs.
        progress: Receiver of the progress.
        part: Shares the shards with the other parts, which may run at the same time; a run without one finishes the dataset.
        repair: Reads all sealed shards first, and renders what is damaged in them.
        add: Whether the dataset may have been made from fewer objects; then the others are added.

    Raises:
        UsageError: ``out`` holds something else, or another process renders into it, or there is no Blender.
        IebenchError: No object could be rendered, or the disk is full.
    """
    require_blender()
    _require_ours(plan, out, add)
    staging = Staging(out, shared=part is not None)
    try:
        staging.begin(plan.settings.model_dump_json(), plan.shards, lambda: _prepare(plan, staging, add))
        if repair:
            checked = plan.shards if part is None else part.to_check(plan.shards)
            staging.shards.find_damage(checked, _readers(execution))
        if part is None:
            return _render_whole(plan, staging, execution, progress)
        claimed = ClaimedShards(plan.shards, staging, part)
        try:
            run = _Run(plan, staging, claimed)
            rendered = run.render(execution, progress)
            return RenderSummary(None, claimed.failures(), rendered, run.shards)
        finally:
            claimed.claims.release_all()
    finally:
        staging.release()


def _render_whole(plan: Plan, staging: Staging, execution: Execution, progress: Progress) -> RenderSummary:
    everything = WholeDataset(plan.shards, staging)
    run = _Run(plan, staging, everything)
    rendered = run.render(execution, progress)
    everything.list.write()
    index = run.finish()
    staging.remove()
    return RenderSummary(index, tuple(everything.list), rendered, run.shards)


def _require_ours(plan: Plan, out: Path, add: bool) -> None:
    """Raises an error unless a folder is new or for this plan; with ``add``, for a plan of fewer objects."""
    settings, path = plan.settings, out / INDEX_NAME
    if path.is_file():
        index = parse_index(path)
        update: dict[str, object] = {"devices": tuple(index.renderer.get("devices", ()))}
        if add:
            update["catalogue_sha256"] = require_only_additions(out, index, plan.objects)
        settings = settings.model_copy(update=update)
    require_new_or_same_dataset(out, out / FOLDER_NAME / SETTINGS_NAME, settings, "rendered")


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

    def __init__(self, plan: Plan, staging: Staging, assignment: ShardAssignment) -> None:
        self._plan = plan
        self._staging = staging
        self._assignment = assignment
        self._rows = _rows_of(plan, staging)
        self._shard_of: dict[ObjectRef, RenderShard] = {}
        self._pending: dict[str, int] = {}  # objects that a shard lacks
        self._kept: dict[str, dict[Name, KeptObject]] = {}
        self.shards = 0

    def render(self, execution: Execution, progress: Progress) -> int:
        """Renders all missing objects, sealing each shard once its objects are there; returns the views."""
        settings, rendered = self._plan.settings, 0
        with Sealer(self._plan, self._staging) as sealer:
            jobs = self._missing(sealer, progress, _readers(execution))
            first = next(jobs, None)
            if first is None:
                return 0
            limits = limits_of(settings.render, execution.timeout)
            with (
                contextlib.closing(open_engine(self._on_known_device(execution), first)) as engine,
                contextlib.closing(run_jobs(chain([first], jobs), engine, limits)) as outcomes,
            ):
                self._staging.record_device(engine.kind, execution.mix_devices)
                progress.note(engine.description)
                for outcome in outcomes:
                    item = outcome.job.item
                    shard = self._shard_of.pop(item)
                    if outcome.rendered is None:
                        self._assignment.failures_in(shard).add(item, outcome.reason, outcome.attempts)
                        progress.failed(item, outcome.reason)
                    else:
                        rendered += outcome.rendered.views
                    progress.advance(settings.views)
                    self._pending[shard.name] -= 1
                    self._seal_if_whole(shard, sealer)
                    sealer.raise_errors()
        return rendered

    def _on_known_device(self, execution: Execution) -> Execution:
        """Replaces the device ``auto`` by the kind of device that the dataset was begun on, if there is exactly one."""
        kinds = self._staging.devices()
        if execution.device != "auto" or execution.mix_devices or len(kinds) != 1:
            return execution
        return dataclasses.replace(execution, device=cast("DeviceChoice", kinds[0]))

    def _missing(self, sealer: Sealer, progress: Progress, readers: int) -> Iterator[Job]:
        """Yields the jobs for missing objects, a batch of shards at a time; a shard without one is sealed at once."""
        views = self._plan.settings.views
        for number, batch in enumerate(self._assignment.batches()):
            jobs = self._missing_of(batch, sealer, readers)
            if number == 0:
                there = sum(len(shard.objects) for shard in batch) - len(jobs)
                progress.start(self._assignment.objects * views, there * views)
            yield from jobs

    def _missing_of(self, batch: Sequence[RenderShard], sealer: Sealer, readers: int) -> list[Job]:
        held = self._staging.held_among([item for shard in batch for item in shard.objects])
        unfinished: list[tuple[RenderShard, list[ObjectRef]]] = []
        for shard in batch:
            failures = self._assignment.failures_in(shard)
            if self._staging.shards.is_complete(shard, failures, self._rows):
                self._staging.forget(held.intersection(shard.objects))
                self._assignment.pass_over(shard)
            else:
                lacking = [item for item in shard.objects if item not in held and item not in failures]
                unfinished.append((shard, lacking))
        self._kept.update(self._salvaged(unfinished, readers))
        self.shards += len(unfinished)
        jobs = []
        for shard, lacking in unfinished:
            kept = self._kept.get(shard.name, {})
            missing = [item for item in lacking if item.name not in kept]
            self._pending[shard.name] = len(missing)
            self._shard_of.update((item, shard) for item in missing)
            jobs += [self._plan.job(item, self._staging.folder) for item in missing]
            self._seal_if_whole(shard, sealer)
        return jobs

    def _seal_if_whole(self, shard: RenderShard, sealer: Sealer) -> None:
        if not self._pending[shard.name]:
            kept = self._kept.pop(shard.name, {})
            sealer.seal(shard, kept, partial(self._assignment.give_back, shard))

    def _salvaged(
        self, shards: Sequence[tuple[RenderShard, list[ObjectRef]]], readers: int
    ) -> dict[str, dict[Name, KeptObject]]:
        """Returns, by shard, the objects that are sound in an existing file and need not be rendered again."""
        index = self._index({}, *PixelSums().mean_and_std())
        aside = shards_aside(self._staging.folder)
        jobs = [
            SalvageJob(path, ShardPlan(shard.name, shard.split, objects), index)
            for shard, lacking in shards
            for path, objects in sources_of(self._staging.out / shard.name, lacking, aside)
        ]
        kept: dict[str, dict[Name, KeptObject]] = {}
        with contextlib.closing(run_parallel(salvage, jobs, readers)) as results:
            for found in results:
                devices = self._staging.shards.devices_of(found.path) or self._staging.devices()
                own = {name: KeptObject(found.path, sums, devices) for name, sums in found.pixels.items()}
                kept.setdefault(found.shard, {}).update(own)
        return kept

    def finish(self) -> DatasetIndex:
        """Writes the index and the dataset card."""
        splits = self._staging.shards.splits(self._plan.shards)
        if not any(split.views for split in splits.values()):
            raise IebenchError(
                f"none of the {len(self._plan.objects)} objects could be rendered; "
                f"{self._staging.out / FAILURES_NAME} says why for each"
            )
        mean, std = self._staging.shards.channel_statistics(splits, self._plan.settings.render.channel_order)
        return complete_dataset(self._staging.out, self._index(splits, mean, std), self._rows)

    def _index(self, splits: dict[str, SplitInfo], mean: Channels, std: Channels) -> DatasetIndex:
        settings = self._plan.settings
        return DatasetIndex(
            variant=settings.variant,
            latents=settings.latents,
            classes=classes_of_synsets(item.synset for item in self._plan.objects),
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


def _readers(execution: Execution) -> int:
    """Returns the number of processes that read sealed shards."""
    cores = available_cores()
    return cores if execution.workers is None else min(execution.workers, cores)
