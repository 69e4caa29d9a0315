"""Checks one shard: its file, and every sample in it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from shards.errors import IebenchError
from shards.files import sha256_of
from shards.mirror import local_shard
from shards.passes import member_of
from shards.samples import Sample, key_of, walk_samples
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo
from shards.tar import DAMAGED_HEADER, Damage
from shards.verify.complaints import sample_complaints
from shards.verify.order import SampleOrder
from shards.verify.problem import Problem

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True)
class ShardJob:
    """A shard to be checked, with its number among all shards; the index's list of shards is not used."""

    number: int
    folder: Path
    shard: ShardInfo
    index: DatasetIndex
    split: str


@dataclass(frozen=True)
class ShardReport:
    """The result of checking a shard, with its problems in order.

    Attributes:
        objects: Key of the first sample of each object.
        rows: Rows that ``latents.parquet`` should have; None if the dataset has no such table, or the shard is broken.
    """

    number: int
    problems: tuple[Problem, ...]
    objects: dict[str, str]
    rows: "pyarrow.Table | None" = None


def check_shard(job: ShardJob) -> ShardReport:
    """Checks a shard by reading it twice: for its SHA-256, and sample by sample."""
    order = SampleOrder(job.index.views_per_object)
    try:
        path = local_shard(job.folder, job.shard)
    except IebenchError as error:  # the shard of a mirror cannot be downloaded, or has a wrong SHA-256
        return ShardReport(job.number, (Problem(job.shard.name, "", str(error)),), {})
    found = [("", "it is missing")]
    if path.is_file():
        found = [*_file_problems(path, job.shard), *_content_problems(path, job, order)]
    problems = tuple(Problem(job.shard.name, *problem) for problem in found)
    rows = None if found or job.index.latents_table is None else _rows(path, job)
    return ShardReport(job.number, problems, order.objects, rows)


def _rows(path: Path, job: ShardJob) -> "pyarrow.Table | None":
    from shards.table import rows_of_shard

    try:
        return rows_of_shard(path, job.split, job.index.latents, job.index.passes)
    except IebenchError:  # an intact shard of a correct index never raises this
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


def _content_problems(path: Path, job: ShardJob, order: SampleOrder) -> Iterator[tuple[str, str]]:
    shard = job.shard
    members = {"jpg", "json", *map(member_of, job.index.passes)}
    try:
        for item in _placed(walk_samples(path), members):
            if isinstance(item, tuple):
                yield item
            else:
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


def _placed(items: Iterable[Sample | Damage], members: set[str]) -> Iterator[Sample | tuple[str, str]]:
    """Yields samples, and damages as pairs of a sample's key, which is empty between samples, and what is wrong.

    They come in order, except that a damaged header is yielded after the sample that it damaged.

    The name in a damaged header cannot be trusted. Its sample is known by the member that it lacks. There are two
    cases, with samples x and y of ``.jpg`` and ``.json``, and ``??`` for the damaged header::

        x.jpg ?? y.jpg y.json           the next sample, x, lacks a member
        x.jpg x.json ?? y.json z.jpg    the next sample, x, is complete; the one after it, y, lacks a member

    A sample is complete only when the next key is read, so ``x`` is yielded after the header in both cases.
    """
    earlier: list[Damage] = []  # damaged headers before the last sample
    latest: list[Damage] = []  # damaged headers after it
    for item in items:
        if not isinstance(item, Damage):
            yield item
            if members <= item.keys():
                yield from map(_damage_problem, earlier)
                earlier, latest = latest, []
            else:
                yield from [(item["__key__"], DAMAGED_HEADER)] * len(earlier + latest)
                earlier, latest = [], []
        elif item.message == DAMAGED_HEADER:
            latest.append(item)
        else:
            yield _damage_problem(item)
    yield from map(_damage_problem, earlier + latest)


def _damage_problem(damage: Damage) -> tuple[str, str]:
    """Returns the key of the damaged sample, and what is wrong with it."""
    if damage.name and damage.message != DAMAGED_HEADER:
        return key_of(damage.name), f"member {damage.name}: {damage.message}"
    return "", f"{damage.message}, {f'after {damage.after}' if damage.after else 'at its start'}"
