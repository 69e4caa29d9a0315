"""Makes ``latents.parquet`` for a dataset that has none."""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow

from shards.completion import complete_dataset
from shards.errors import UsageError
from shards.parallel import run_parallel
from shards.passes import Pass
from shards.remote.address import is_address
from shards.schema import DatasetIndex, ShardInfo, open_dataset
from shards.table import rows_of_shard
from shards.variants import Latent


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
    rows_of = partial(_rows, folder, index.latents, index.passes)
    with contextlib.closing(run_parallel(rows_of, index.all_shards(), workers)) as results:
        waiting: dict[str, pyarrow.Table] = {}  # rows of shards whose turn has not come

        def rows(_: str, shard: ShardInfo) -> pyarrow.Table:
            advance(shard.views)
            while shard.name not in waiting:
                name, table = next(results)
                waiting[name] = table
            return waiting.pop(shard.name)

        return complete_dataset(folder, index, rows)


def _rows(
    folder: Path, latents: tuple[Latent, ...], passes: tuple[Pass, ...], job: tuple[str, ShardInfo]
) -> tuple[str, pyarrow.Table]:
    split, shard = job
    return shard.name, rows_of_shard(folder / shard.name, split, latents, passes)
