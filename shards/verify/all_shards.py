"""Checks a whole dataset, several shards at a time."""

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from shards.parallel import run_parallel
from shards.schema import INDEX_NAME, DatasetIndex
from shards.verify.problem import Problem
from shards.verify.shard import ShardJob, ShardReport, check_shard
from shards.verify.table_rows import opened_table, row_problems


def verify_dataset(
    folder: Path,
    index: DatasetIndex,
    advance: Callable[[int], object] = lambda views: None,
    workers: int = 1,
) -> Generator[Problem, None, None]:
    """Yields every problem of a dataset: each place that differs from its index or breaks the dataset format.

    Problems come in the order of the index for any number of processes. Each process holds one sample in memory at a
    time; only the names of objects are kept for the whole dataset.

    Args:
        folder: Folder of the dataset.
        index: Index of the dataset from ``parse_index``; shards may be missing or broken.
        advance: Function that is called with the number of views of each finished shard.
        workers: Number of processes; with one, the work is done in this process.

    Raises:
        IebenchError: A process was killed.
    """
    yield from _index_problems(folder, index)
    table, problems = opened_table(folder, index)
    yield from problems
    shards = index.all_shards()
    without_shards = index.model_copy(update={"splits": {}})
    checks = [
        ShardJob(number, folder, shard, without_shards, split) for number, (split, shard) in enumerate(shards)
    ]
    holders: dict[str, tuple[str, str]] = {}
    with closing(run_parallel(check_shard, checks, workers)) as reports:
        for report in _in_order(reports):
            split, shard = shards[report.number]
            yield from report.problems
            yield from _repeated_objects(report, split, shard.name, holders)
            if table is not None and report.rows is not None:
                yield from row_problems(table, shard, report.rows)
            advance(shard.views)


def _index_problems(folder: Path, index: DatasetIndex) -> Iterator[Problem]:
    """Yields problems of the index: shards that it lacks or lists twice, classes out of order, and wrong totals."""
    named = Counter(shard.name for _, shard in index.all_shards())
    for path in sorted(folder.glob("*.tar")):
        if path.name not in named:
            yield Problem(path.name, "", f"{INDEX_NAME} does not know it")
    for name, count in named.items():
        if count > 1:
            yield Problem(name, "", f"{INDEX_NAME} names it {count} times")
    synsets = [item.synset for item in index.classes]
    if synsets != sorted(set(synsets)) or [item.label for item in index.classes] != list(range(len(synsets))):
        yield Problem(INDEX_NAME, "", "its classes are not the sorted synsets with the labels 0, 1, 2, ...")
    for name, split in index.splits.items():
        for total in ("objects", "views"):
            if sum(getattr(shard, total) for shard in split.shards) != getattr(split, total):
                yield Problem(INDEX_NAME, "", f"the {total} of the {name} shards do not add up to its total")


def _repeated_objects(
    report: ShardReport, split: str, shard: str, holders: dict[str, tuple[str, str]]
) -> Iterator[Problem]:
    """Yields a problem for each object that an earlier shard has too, and adds the other objects to ``holders``."""
    for name, first in report.objects.items():
        other_split, other = holders.setdefault(name, (split, shard))
        if (other_split, other) != (split, shard):
            both = f", and so in both {other_split} and {split}" if other_split != split else ""
            yield Problem(shard, first, f"its object is in {other} too{both}")


def _in_order(reports: Iterable[ShardReport]) -> Iterator[ShardReport]:
    waiting: dict[int, ShardReport] = {}
    following = 0
    for report in reports:
        waiting[report.number] = report
        while following in waiting:
            yield waiting.pop(following)
            following += 1
