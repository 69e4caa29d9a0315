"""Whether ``latents.parquet`` says what the shards say."""

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
    """The table of a dataset that has one, and what is wrong with it as a whole."""
    from shards.table import TABLE_NAME, open_table

    if index.latents_table is None:
        there = (folder / TABLE_NAME).is_file()
        return None, [Problem(TABLE_NAME, "", "dataset.json does not know it; run `iebench index`")] * there
    try:
        return open_table(folder, index), []
    except IebenchError as error:
        return None, [Problem(TABLE_NAME, "", str(error))]


def row_problems(
    table: "LatentsTable | None", shard: ShardInfo, rows: "pyarrow.Table | None"
) -> Iterator[Problem]:
    """Complains where the table says of a shard something else than the shard does.

    Args:
        table: The table of the dataset; None where there is none that can be read.
        shard: The shard that the rows are of.
        rows: The rows as they follow from the shard; None where the shard is broken.
    """
    from shards.table import TABLE_NAME

    if table is None or rows is None:
        return
    try:
        found = table.rows_of(shard).cast(rows.schema)
    except IebenchError as error:
        yield Problem(TABLE_NAME, "", str(error))
        return
    differing = [name for name in rows.schema.names if not found[name].equals(rows[name])]
    if differing:
        yield Problem(TABLE_NAME, "", f"it says otherwise than {shard.name} of {', '.join(differing)}")
