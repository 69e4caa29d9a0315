"""Packs objects of any source into the shards of a dataset. A run that was stopped continues where it was.

A ``PackPlan`` describes the source: which objects there are, how one is read, and the contents of ``dataset.json``.
Everything else is done here. During a run, ``OUT/.pack`` holds the settings and a record of each finished shard.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from shards.added_objects import is_moved, move_aside, require_only_additions, shards_aside, sources_of
from shards.completion import complete_dataset
from shards.errors import IebenchError
from shards.failures import FAILURES_NAME, Failure, Failures
from shards.files import write_text
from shards.locks import sole_process
from shards.parallel import run_parallel
from shards.pixels import PixelSums
from shards.progress_protocol import Progress
from shards.salvage import SoundObjects
from shards.same_settings import SETTINGS_NAME, require_new_or_same_dataset
from shards.samples import Sample
from shards.schema import INDEX_NAME, DatasetIndex, parse_index
from shards.sealed import SealedShard, SealedShards, keep_rows
from shards.shard_plan import AnyCatalogEntry, NamedObject, ShardPlan
from shards.writer import seal_shard

FOLDER_NAME = ".pack"

Item = TypeVar("Item", bound=NamedObject, contravariant=True)


class ObjectReader(Protocol[Item]):
    """A reader of a source's objects. Its shares are pickled for the processes that pack."""

    def read(self, item: Item) -> tuple[list[Sample], PixelSums]:
        """Returns all views of an object as samples, and the sums over their pixels in RGB order.

        Raises:
            IebenchError: The object cannot be packed; the message says why.
        """

    def share(self, objects: Sequence[Item]) -> "ObjectReader[Item]":
        """Returns a reader of at least these objects, which is small to pickle."""

    def license_text(self) -> str:
        """Returns the licence that the source states; empty if it states none."""


@dataclass(frozen=True)
class PackPlan(Generic[AnyCatalogEntry]):
    """Everything that is known of a dataset before it is packed.

    Attributes:
        reader: Reader of the objects.
        settings: Settings that determine the dataset's bytes together with the source; they include the objects'
            ``catalogue_sha256``.
        index: Index of the dataset, still without shards and channel statistics.
        objects: Objects in the order of the catalog.
        shards: Shards with the objects that belong in them.
        unlisted: Number of the source's objects that are in no split.
    """

    reader: ObjectReader[AnyCatalogEntry]
    settings: BaseModel
    index: DatasetIndex
    objects: tuple[AnyCatalogEntry, ...]
    shards: tuple[ShardPlan[AnyCatalogEntry], ...]
    unlisted: int = 0


def empty_index(settings: BaseModel, **known: Any) -> DatasetIndex:
    """Returns the index of a dataset before anything is packed; ``known`` are the other fields of ``DatasetIndex``."""
    mean, std = PixelSums().mean_and_std()
    renderer = settings.model_dump(mode="json")
    return DatasetIndex(**known, renderer=renderer, splits={}, seed=None, channel_mean=mean, channel_std=std)


@dataclass(frozen=True)
class Packed:
    """The result of a packing run: the index, the objects that the dataset lacks, and how many views this run read."""

    index: DatasetIndex
    failures: tuple[Failure, ...]
    views: int


@dataclass(frozen=True)
class _Job:
    reader: ObjectReader[Any]
    out: Path
    records: Path
    shard: ShardPlan[Any]
    index: DatasetIndex
    sources: tuple[tuple[Path, tuple[Any, ...]], ...]


@dataclass
class _Done:
    """The result of packing one shard, which is filled in while the shard is written.

    ``sealed`` stays None if all objects fail. Of the ``objects`` in the shard, ``read`` come from the source.
    """

    shard: ShardPlan[Any]
    sealed: SealedShard | None = None
    failures: list[Failure] = field(default_factory=list)
    read: int = 0
    objects: int = 0
    pixels: PixelSums = field(default_factory=PixelSums)


def pack(
    plan: PackPlan[Any], out: Path, workers: int, progress: Progress, repair: bool = False, add: bool = False
) -> Packed:
    """Packs everything that is missing from a planned dataset.

    A shard that lacks objects is made again from its intact objects and the missing ones.

    Args:
        plan: Plan of the dataset.
        out: Folder of the dataset; new, or begun with the same plan.
        workers: Number of processes, each of which packs one shard at a time.
        progress: Receiver of the progress.
        repair: Whether to check all finished shards first, and to pack damaged objects again.
        add: Whether the dataset may have been made from fewer objects; then the others are added.

    Raises:
        UsageError: ``out`` holds something else, or another process is packing into it.
        IebenchError: No object could be packed, or a process was killed.
    """
    folder = out / FOLDER_NAME
    _require_ours(plan, out, add)
    with sole_process(folder, f"another process is packing into {out}") as lock:
        _require_ours(plan, out, add)
        _remove_unfinished(out)
        try:
            write_text(folder / SETTINGS_NAME, plan.settings.model_dump_json())
            run = _Run(plan, out)
            if add or is_moved(folder):
                move_aside(run.sealed, folder, plan.shards, run.rows)
            if repair:
                run.sealed.find_damage(plan.shards, workers)
            views = run.pack(workers, progress)
            index = run.finish()
        finally:
            _remove_unfinished(out)
        lock.remove()
        return Packed(index, tuple(run.failures), views)


def _require_ours(plan: PackPlan[Any], out: Path, add: bool) -> None:
    """Raises an error unless a folder is for this plan or, with ``add``, for a plan of fewer objects."""
    settings, index = plan.settings, out / INDEX_NAME
    if add and index.is_file():
        earlier = require_only_additions(out, parse_index(index), plan.objects)
        settings = settings.model_copy(update={"catalogue_sha256": earlier})
    require_new_or_same_dataset(out, out / FOLDER_NAME / SETTINGS_NAME, settings, "packed")


class _Run:
    """One packing run over a plan. It keeps track of the finished shards and the failures."""

    def __init__(self, plan: PackPlan[Any], out: Path) -> None:
        self._plan = plan
        self._out = out
        self._records = out / FOLDER_NAME / "shards"
        self.sealed = SealedShards(out, self._records)
        self.sealed.adopt(plan.shards)
        self.rows = partial(self.sealed.rows, latents=plan.index.latents, passes=())
        self.failures = Failures(out / FAILURES_NAME)

    def pack(self, workers: int, progress: Progress) -> int:
        """Packs all missing shards, and returns the number of views that were read from the source."""
        missing = [
            shard
            for shard in self._plan.shards
            if not self.sealed.is_complete(shard, self.failures, self.rows)
        ]
        aside = shards_aside(self._out / FOLDER_NAME)
        per_object = self._plan.index.views_per_object
        total = len(self._plan.objects)
        progress.start(
            total * per_object, (total - sum(len(shard.objects) for shard in missing)) * per_object
        )
        jobs = [
            _Job(
                self._plan.reader.share(shard.objects),
                self._out,
                self._records,
                shard,
                self._plan.index,
                tuple(sources_of(self._out / shard.name, shard.objects, aside)),
            )
            for shard in missing
        ]
        views = 0
        with contextlib.closing(run_parallel(_pack_shard, jobs, workers)) as results:
            for done in results:
                self._record(done, progress)
                views += done.read * per_object
                progress.advance(len(done.shard.objects) * per_object)
        return views

    def finish(self) -> DatasetIndex:
        """Writes the index, the dataset card and the list of failures."""
        self.failures.write()
        splits = self.sealed.splits(self._plan.shards)
        if not any(split.views for split in splits.values()):
            raise IebenchError(
                f"none of the {len(self._plan.objects)} objects could be packed; "
                f"{self._out / FAILURES_NAME} says why for each"
            )
        mean, std = self.sealed.channel_statistics(splits, self._plan.index.channel_order)
        index = self._plan.index.model_copy(
            update={"splits": splits, "channel_mean": mean, "channel_std": std}
        )
        return complete_dataset(self._out, index, self.rows, self._plan.reader.license_text())

    def _record(self, done: _Done, progress: Progress) -> None:
        self.failures.replace(done.shard.objects, done.failures)
        if done.sealed is not None:
            self.sealed.record(done.sealed)
        else:
            (self._out / done.shard.name).unlink(missing_ok=True)
        reasons = {(failure.synset, failure.object): failure.reason for failure in done.failures}
        for item in done.shard.objects:
            if reason := reasons.get((item.synset, item.object_id)):
                progress.failed(item, reason)


def _pack_shard(job: _Job) -> _Done:
    """Writes a shard with those of its objects that can be read."""
    done = _Done(job.shard)
    samples = _samples(job, done)
    first = next(samples, None)
    if first is not None:
        info = seal_shard(job.out / job.shard.name, chain([first], samples), objects=0)
        info = info.model_copy(update={"objects": done.objects})
        keep_rows(job.records, job.out, job.shard.split, info, job.index.latents)
        done.sealed = SealedShard(info=info, pixels=done.pixels)
    return done


def _samples(job: _Job, done: _Done) -> Iterator[Sample]:
    """Yields the samples of a shard's objects, from an old shard if they are intact there, else from the source."""
    sound = SoundObjects(job.sources, job.index)
    for item in job.shard.objects:
        if found := sound.take(item):
            samples, pixels = found
        else:
            try:
                samples, pixels = job.reader.read(item)
            except IebenchError as error:
                done.failures.append(
                    Failure(synset=item.synset, object=item.object_id, reason=str(error), attempts=1)
                )
                continue
            done.read += 1
        done.objects += 1
        done.pixels += pixels
        yield from samples


def _remove_unfinished(out: Path) -> None:
    """Deletes the unfinished files of processes that were killed while they wrote."""
    for path in out.glob(".*.part"):
        path.unlink(missing_ok=True)
