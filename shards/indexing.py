"""Makes ``latents.parquet`` for a dataset that has none."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow

from shards.completion import complete_dataset
from shards.errors import UsageError
from shards.parallel import run_parallel
from shards.remote.address import is_address
from shards.schema import DatasetIndex, ShardInfo, open_dataset
from shards.table import rows_of_shard


@dataclass(frozen=True)
class _Job:
    folder: Path
    split: str
    shard: ShardInfo
    index: DatasetIndex


def index_dataset(
    folder: Path, workers: int = 1, advance: Callable[[int], object] = lambda views: None
) -> DatasetIndex:
    """Writes ``latents.parquet`` again from the shards, and updates the index and the card, which refer to it.

    Args:
        folder: Folder of the dataset.
        workers: Number of processes, each of which reads one shard at a time.
        advance: Function that is called with the number of views of each finished shard.

    Raises:
        UsageError: There is no dataset in the folder, or the dataset is at an address.
        IebenchError: A shard is damaged.
    """
    if is_address(str(folder)):
        raise UsageError(
            f"{folder} is an address; run `iebench index` on the folder where the dataset was made"
        )
    index = open_dataset(folder)
    without_shards = index.model_copy(update={"splits": {}})
    work = [
        _Job(folder, name, shard, without_shards)
        for name, split in index.splits.items()
        for shard in split.shards
    ]
    with contextlib.closing(run_parallel(_rows, work, workers)) as results:
        tables = _in_turn(results)

        def rows(_: str, shard: ShardInfo) -> pyarrow.Table:
            advance(shard.views)
            return tables(shard.name)

        return complete_dataset(folder, index, rows)


def _rows(job: _Job) -> tuple[str, pyarrow.Table]:
    index = job.index
    return job.shard.name, rows_of_shard(job.folder / job.shard.name, job.split, index.latents, index.passes)


def _in_turn(results: Iterator[tuple[str, pyarrow.Table]]) -> Callable[[str], pyarrow.Table]:
    """Returns a function that waits for the rows of a named shard, and keeps those of other shards for later."""
    waiting: dict[str, pyarrow.Table] = {}

    def take(name: str) -> pyarrow.Table:
        while name not in waiting:
            found, table = next(results)
            waiting[found] = table
        return waiting.pop(name)

    return take
