"""Checks one shard: its file, and every sample in it, one at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from shards.errors import IebenchError
from shards.files import sha256_of
from shards.mirror import local_shard
from shards.passes import member_of
from shards.samples import Sample, key_of, walk_samples
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo
from shards.tar import DAMAGED_HEADER, Damage
from shards.verify.complaints import sample_complaints
from shards.verify.order import Order
from shards.verify.problem import Problem

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class ShardJob:
    """A shard to be checked.

    Attributes:
        place: Number of the shard among all shards.
        folder: Folder of the dataset.
        shard: what the index says of it.
        index: Index of the dataset; it need not hold any shards.
        split: Split that the shard belongs to.
    """

    place: int
    folder: Path
    shard: ShardInfo
    index: DatasetIndex
    split: str


@dataclass(frozen=True)
class ShardReport:
    """What was found in a shard.

    Attributes:
        place: Number of the shard, from the job.
        problems: Problems in the order in which they stand in the shard.
        objects: the key of the first sample of each object.
        rows: what ``latents.parquet`` should say of the shard; None where it was not asked for, or the shard is broken.
    """

    place: int
    problems: tuple[Problem, ...]
    objects: dict[str, str]
    rows: "pyarrow.Table | None" = None


def check_shard(job: ShardJob) -> ShardReport:
    """Reads a shard twice, for its SHA-256 and for its samples; one sample is in memory at a time."""
    order = Order(job.index.views_per_object)
    try:
        path = local_shard(job.folder, job.shard)
    except IebenchError as error:  # it stands elsewhere and does not come, or not as it should
        return ShardReport(job.place, (Problem(job.shard.name, "", str(error)),), {})
    found = [("", "it is missing")]
    if path.is_file():
        found = [*_file_problems(path, job.shard), *_content_problems(path, job, order)]
    problems = tuple(Problem(job.shard.name, *problem) for problem in found)
    rows = None if found or job.index.latents_table is None else _rows(path, job)
    return ShardReport(job.place, problems, order.objects, rows)


def _rows(path: Path, job: ShardJob) -> "pyarrow.Table | None":
    from shards.table import rows_of_shard

    try:
        return rows_of_shard(path, job.split, job.index.latents, job.index.passes)
    except IebenchError:  # which no sound shard of a sound index raises
        return None


def _file_problems(path: Path, shard: ShardInfo) -> Iterator[tuple[str, str]]:
    try:
        size = path.stat().st_size
        if size != shard.bytes:
            yield "", f"it has {size:,} bytes and should have {shard.bytes:,}"
        elif sha256_of(path) != shard.sha256:
            yield "", f"its SHA-256 is not the one in {INDEX_NAME}: its bytes were altered"
    except OSError as error:
        yield "", f"it cannot be read ({error.strerror})"


def _content_problems(path: Path, job: ShardJob, order: Order) -> Iterator[tuple[str, str]]:
    shard = job.shard
    members = {"jpg", "json", *map(member_of, job.index.passes)}
    try:
        for item in _placed(walk_samples(path), members):
            if isinstance(item, _PlacedDamage):
                yield item.sample, item.message
                continue
            key = item["__key__"]
            yield from order.follow(key)
            yield from ((key, message) for message in sample_complaints(item, job.index))
    except OSError as error:
        yield "", f"it cannot be read ({error.strerror})"
        return
    yield from order.end()
    if (order.samples, len(order.objects)) != (shard.views, shard.objects):
        yield (
            "",
            f"it holds {order.samples:,} views of {len(order.objects):,} objects and should hold "
            f"{shard.views:,} of {shard.objects:,}",
        )


class _PlacedDamage(NamedTuple):
    """A damage with the key of the sample that it belongs to; empty where it is between samples."""

    sample: str
    message: str


def _placed(items: Iterable[Sample | Damage], members: set[str]) -> Iterator[Sample | _PlacedDamage]:
    """Samples and damages as they come, but a damaged header comes behind its sample.

    Such a header may say any name. Its sample is the first after it that lacks a member: the one that it stood in
    the middle of, which is the next to come, or the one that it began, which is the next but one.
    """
    waiting: list[tuple[Damage, int]] = []
    for item in items:
        if isinstance(item, Damage):
            if item.message == DAMAGED_HEADER:
                waiting.append((item, 0))
            else:
                yield _PlacedDamage(*_damage_problem(item))
            continue
        yield item
        lacking = not members <= item.keys()
        still: list[tuple[Damage, int]] = []
        for damage, passed in waiting:
            if lacking:
                yield _PlacedDamage(item["__key__"], DAMAGED_HEADER)
            elif passed:
                yield _PlacedDamage(*_damage_problem(damage))
            else:
                still.append((damage, 1))
        waiting = still
    for damage, _ in waiting:
        yield _PlacedDamage(*_damage_problem(damage))


def _damage_problem(damage: Damage) -> tuple[str, str]:
    """The key of the sample that is damaged, and what is wrong with it."""
    if damage.name and damage.message != DAMAGED_HEADER:
        return key_of(damage.name), f"member {damage.name}: {damage.message}"
    return "", f"{damage.message}, {f'after {damage.after}' if damage.after else 'at its start'}"
