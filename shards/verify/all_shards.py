"""Checks a dataset, several shards at once."""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from shards.parallel import run_parallel
from shards.schema import DatasetIndex
from shards.verify.index import index_problems
from shards.verify.problem import Problem
from shards.verify.shard import ShardJob, ShardReport, check_shard
from shards.verify.table_rows import opened_table, row_problems


def verify_dataset(
    folder: Path,
    index: DatasetIndex,
    advance: Callable[[int], object] = lambda views: None,
    workers: int = 1,
) -> Generator[Problem, None, None]:
    """Finds everything about a dataset that is not as its index and the contract say.

    Each process holds one sample at a time; of the whole dataset, only the names of its objects are kept. What is
    found comes in the order of the index, however many processes there are.

    Args:
        folder: the dataset's folder.
        index: its index, as ``parse_index`` reads it; shards may be missing or broken.
        advance: told the number of views of each shard that is done.
        workers: processes; with one, this one.

    Raises:
        IebenchError: a process was ended from outside.
    """
    yield from index_problems(folder, index)
    table, problems = opened_table(folder, index)
    yield from problems
    shards = [(split, shard) for split, info in index.splits.items() for shard in info.shards]
    contract = index.model_copy(update={"splits": {}})
    checks = [ShardJob(place, folder, shard, contract, split) for place, (split, shard) in enumerate(shards)]
    holders: dict[str, tuple[str, str]] = {}
    with closing(run_parallel(check_shard, checks, workers)) as reports:
        for report in _in_order(reports):
            split, shard = shards[report.place]
            yield from report.problems
            yield from _repeated_objects(report, split, shard.name, holders)
            yield from row_problems(table, shard, report.rows)
            advance(shard.views)


def _repeated_objects(
    report: ShardReport, split: str, shard: str, holders: dict[str, tuple[str, str]]
) -> Iterator[Problem]:
    """Complains of objects that an earlier shard holds too, and notes the others in ``holders``."""
    for name, first in report.objects.items():
        other_split, other = holders.setdefault(name, (split, shard))
        if (other_split, other) != (split, shard):
            both = f", and so in both {other_split} and {split}" if other_split != split else ""
            yield Problem(shard, first, f"its object is in {other} too{both}")


def _in_order(reports: Iterable[ShardReport]) -> Iterator[ShardReport]:
    waiting: dict[int, ShardReport] = {}
    following = 0
    for report in reports:
        waiting[report.place] = report
        while following in waiting:
            yield waiting.pop(following)
            following += 1
