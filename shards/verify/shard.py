"""Checks one shard: its file, and every sample in it, one at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shards.errors import IebenchError
from shards.files import sha256_of
from shards.mirror import local_shard
from shards.samples import key_of, walk_samples
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo
from shards.tar import DAMAGED_HEADER, Damage
from shards.verify.order import Order
from shards.verify.problem import Problem
from shards.verify.sample import sample_complaints


@dataclass(frozen=True)
class ShardJob:
    """A shard to be checked.

    Attributes:
        place: of the shard among all of them.
        folder: of the dataset.
        shard: what the index says of it.
        index: of the dataset; it need not hold any shards.
    """

    place: int
    folder: Path
    shard: ShardInfo
    index: DatasetIndex


@dataclass(frozen=True)
class ShardReport:
    """What was found in a shard.

    Attributes:
        place: as in the job.
        problems: in the order in which they stand in the shard.
        objects: the key of the first sample of each object.
    """

    place: int
    problems: tuple[Problem, ...]
    objects: dict[str, str]


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
    return ShardReport(
        job.place, tuple(Problem(job.shard.name, *problem) for problem in found), order.objects
    )


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
    try:
        for sample in walk_samples(path):
            if isinstance(sample, Damage):
                yield _damage_problem(sample)
                continue
            key = sample["__key__"]
            yield from order.follow(key)
            yield from ((key, message) for message in sample_complaints(sample, job.index))
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


def _damage_problem(damage: Damage) -> tuple[str, str]:
    """At which sample; a damaged header may say any name, and its sample is told as one that lacks a member."""
    if damage.name and damage.message != DAMAGED_HEADER:
        return key_of(damage.name), f"member {damage.name}: {damage.message}"
    return "", f"{damage.message}, {f'after {damage.after}' if damage.after else 'at its start'}"
