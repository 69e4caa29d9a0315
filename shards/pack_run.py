"""Packing: objects of any source become the shards of a dataset, and a run that was stopped goes on where it was.

What the source is decides a ``PackPlan``: which objects there are, how one is read, and what ``dataset.json`` will say.
All else is here. While a run works, ``OUT/.pack`` holds the settings and a record per sealed shard.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from shards.completion import complete_dataset
from shards.continuing import SETTINGS_NAME, require_ours
from shards.errors import IebenchError
from shards.failures import FAILURES_NAME, Failure, Failures
from shards.files import write_text
from shards.growth import is_moved, move_aside, require_grown, shards_aside, sources_of
from shards.locks import sole_process
from shards.parallel import run_parallel
from shards.pixels import PixelSums
from shards.progress_protocol import Progress
from shards.salvage import SoundObjects
from shards.samples import Sample
from shards.schema import INDEX_NAME, DatasetIndex, parse_index
from shards.sealed import SealedShard, SealedShards, keep_rows
from shards.shard_plan import AnyCatalogEntry, Named, ShardPlan
from shards.writer import seal_shard

FOLDER_NAME = ".pack"

Item = TypeVar("Item", bound=Named, contravariant=True)


class ObjectReader(Protocol[Item]):
    """Reads objects of a source; is handed to the processes that pack."""

    def read(self, item: Item) -> tuple[list[Sample], PixelSums]:
        """All views of an object as samples, and the sums of their pixels in true RGB.

        Raises:
            IebenchError: the object cannot be packed; the message says why.
        """

    def license_text(self) -> str:
        """The licence that the source states; empty where it states none."""


@dataclass(frozen=True)
class PackPlan(Generic[AnyCatalogEntry]):
    """The whole of a dataset to be packed.

    Attributes:
        reader: Reads the objects.
        settings: What decides the bytes besides the source, with the ``catalogue_sha256`` of the objects.
        contract: The index of the dataset, as far as it is known before anything is packed.
        objects: The objects, in the order of the catalogue.
        shards: The shards and the objects that belong in them.
        unlisted: Objects of the source that are in no split.
    """

    reader: ObjectReader[AnyCatalogEntry]
    settings: BaseModel
    contract: DatasetIndex
    objects: tuple[AnyCatalogEntry, ...]
    shards: tuple[ShardPlan[AnyCatalogEntry], ...]
    unlisted: int = 0


@dataclass(frozen=True)
class Packed:
    """What a run came to: the dataset, which objects it lacks, and how many views this run packed."""

    index: DatasetIndex
    failures: tuple[Failure, ...]
    views: int


@dataclass(frozen=True)
class _Job:
    reader: ObjectReader[Any]
    out: Path
    records: Path
    shard: ShardPlan[Any]
    contract: DatasetIndex
    sources: tuple[tuple[Path, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class _Done:
    """What came of a shard; ``sealed`` is None where all of its objects failed, ``read`` counts objects from the source."""

    shard: ShardPlan[Any]
    sealed: SealedShard | None
    failures: tuple[Failure, ...]
    read: int


def pack(
    plan: PackPlan[Any],
    out: Path,
    workers: int,
    progress: Progress,
    repair: bool = False,
    add: bool = False,
) -> Packed:
    """Packs what is missing of a planned dataset.

    A shard that lacks an object is made anew out of the objects that are sound in it and of that one.

    Args:
        plan: what the dataset holds.
        out: its folder; new, or begun by the same plan.
        workers: processes, each of which packs a shard at a time.
        progress: told how it goes.
        repair: Reads all sealed shards first, and packs what is damaged in them.
        add: The dataset may have been made of fewer objects; those that the plan adds are packed.

    Raises:
        UsageError: ``out`` holds something else, or another process packs into it.
        IebenchError: no object could be packed, or a process was ended from outside.
    """
    folder = out / FOLDER_NAME
    begun = folder / SETTINGS_NAME
    _require_ours(plan, out, add)
    with sole_process(folder, f"another process is packing into {out}") as lock:
        _require_ours(plan, out, add)
        _remove_unfinished(out)
        try:
            write_text(begun, plan.settings.model_dump_json())
            run = _Run(plan, out)
            if add or is_moved(folder):
                run.make_room()
            if repair:
                run.find_damage(workers)
            views = run.pack(workers, progress)
            index = run.finish()
        finally:
            _remove_unfinished(out)
        lock.remove()
        return Packed(index, tuple(run.failures), views)


def _require_ours(plan: PackPlan[Any], out: Path, add: bool) -> None:
    """Makes sure that a folder is for this plan, or for one of fewer objects."""
    settings, index = plan.settings, out / INDEX_NAME
    if add and index.is_file():
        earlier = require_grown(out, parse_index(index), plan.objects)
        settings = settings.model_copy(update={"catalogue_sha256": earlier})
    require_ours(out, out / FOLDER_NAME / SETTINGS_NAME, settings, "packed")


class _Run:
    """One run over a plan: which shards are sealed, which are missing."""

    def __init__(self, plan: PackPlan[Any], out: Path) -> None:
        self._plan = plan
        self._out = out
        self._records = out / FOLDER_NAME / "shards"
        self._sealed = SealedShards(out, self._records)
        self._sealed.adopt(plan.shards)
        self.failures = Failures(out / FAILURES_NAME)
        self._rows = partial(self._sealed.rows, latents=plan.contract.latents, passes=())

    def make_room(self) -> None:
        """Moves shards aside that objects displace which were added."""
        move_aside(self._sealed, self._out / FOLDER_NAME, self._plan.shards, self._rows)

    def find_damage(self, workers: int) -> None:
        """Has shards that are damaged count as missing."""
        self._sealed.find_damage(self._plan.shards, workers)

    def pack(self, workers: int, progress: Progress) -> int:
        """Seals all missing shards; returns how many views were read from the source."""
        missing = [
            shard
            for shard in self._plan.shards
            if not self._sealed.is_complete(shard, self.failures, self._rows)
        ]
        aside = shards_aside(self._out / FOLDER_NAME)
        per_object = self._plan.contract.views_per_object
        total = len(self._plan.objects)
        progress.start(
            total * per_object, (total - sum(len(shard.objects) for shard in missing)) * per_object
        )
        jobs = [
            _Job(
                self._plan.reader,
                self._out,
                self._records,
                shard,
                self._plan.contract,
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
        splits = self._sealed.splits(self._plan.shards)
        if not any(split.views for split in splits.values()):
            raise IebenchError(
                f"none of the {len(self._plan.objects)} objects could be packed; "
                f"{self._out / FAILURES_NAME} says why for each"
            )
        mean, std = self._sealed.channel_statistics(splits, self._plan.contract.channel_order)
        index = self._plan.contract.model_copy(
            update={"splits": splits, "channel_mean": mean, "channel_std": std}
        )
        return complete_dataset(self._out, index, self._rows, self._plan.reader.license_text())

    def _record(self, done: _Done, progress: Progress) -> None:
        self.failures.replace(done.shard.objects, done.failures)
        if done.sealed is not None:
            self._sealed.record(done.sealed)
        else:
            (self._out / done.shard.name).unlink(missing_ok=True)
        reasons = {(failure.synset, failure.object): failure.reason for failure in done.failures}
        for item in done.shard.objects:
            if reason := reasons.get((item.synset, item.object_id)):
                progress.failed(item, reason)


@dataclass
class _Tally:
    """What is found out while a shard is written: the objects in it, those read from the source, and those that fail."""

    pixels: PixelSums = field(default_factory=PixelSums)
    objects: int = 0
    read: int = 0
    failures: list[Failure] = field(default_factory=list)


def _pack_shard(job: _Job) -> _Done:
    """Seals a shard of those of its objects that are whole."""
    tally = _Tally()
    samples = _samples(job, tally)
    first = next(samples, None)
    if first is None:
        return _Done(job.shard, None, tuple(tally.failures), tally.read)
    info = seal_shard(job.out / job.shard.name, chain([first], samples), objects=0)
    info = info.model_copy(update={"objects": tally.objects})
    keep_rows(job.records, job.out, job.shard.split, info, job.contract.latents)
    sealed = SealedShard(info=info, pixels=tally.pixels)
    return _Done(job.shard, sealed, tuple(tally.failures), tally.read)


def _samples(job: _Job, tally: _Tally) -> Iterator[Sample]:
    """The samples of the objects that are whole, out of shards in which they are sound, else out of the source."""
    sound = SoundObjects(job.sources, job.contract)
    for item in job.shard.objects:
        if found := sound.take(item):
            samples, pixels = found
        else:
            try:
                samples, pixels = job.reader.read(item)
            except IebenchError as error:
                tally.failures.append(
                    Failure(synset=item.synset, object=item.object_id, reason=str(error), attempts=1)
                )
                continue
            tally.read += 1
        tally.objects += 1
        tally.pixels += pixels
        yield from samples


def _remove_unfinished(out: Path) -> None:
    """Removes what processes left that were killed while they wrote."""
    for path in out.glob(".*.part"):
        path.unlink(missing_ok=True)
