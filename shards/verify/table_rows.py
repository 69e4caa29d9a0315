"""Checks that ``latents.parquet`` agrees with the shards."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from shards.errors import IebenchError
from shards.schema import DatasetIndex, ShardInfo
from shards.verify.problem import Problem

if TYPE_CHECKING:
    import pyarrow

    from shards.table import LatentsTable


def opened_table(folder: Path, index: DatasetIndex) -> "tuple[LatentsTable | None, list[Problem]]":
    """Opens the table of a dataset, and returns it with the problems of the file as a whole.

    The table is None if the dataset has none, or if it cannot be opened.
    """
    from shards.table import TABLE_NAME, open_table

    if index.latents_table is None:
        there = (folder / TABLE_NAME).is_file()
        return None, [Problem(TABLE_NAME, "", "dataset.json does not know it; run `iebench index`")] * there
    try:
        return open_table(folder, index), []
    except IebenchError as error:
        return None, [Problem(TABLE_NAME, "", str(error))]


def row_problems(table: "LatentsTable", shard: ShardInfo, rows: "pyarrow.Table") -> Iterator[Problem]:
    """Yields a problem if the table's rows of a shard differ from those that were made from the shard."""
    from shards.table import TABLE_NAME

    try:
        found = table.rows_of(shard).cast(rows.schema)
    except IebenchError as error:
        yield Problem(TABLE_NAME, "", str(error))
        return
    differing = [name for name in rows.schema.names if not found[name].equals(rows[name])]
    if differing:
        yield Problem(TABLE_NAME, "", f"it says otherwise than {shard.name} of {', '.join(differing)}")
