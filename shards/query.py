"""Queries the table of a dataset in SQL with DuckDB, which may read nothing else."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pyarrow
import pyarrow.csv
import pyarrow.dataset
import pyarrow.parquet

from shards.errors import IebenchError, UsageError, first_line
from shards.files import atomic_write
from shards.schema import DatasetIndex
from shards.table import open_table, table_schema

try:
    import duckdb
except ImportError:
    raise UsageError("queries need DuckDB; pip install 'iebench[query]'") from None

VIEWS = "views"
"""Name of the table in a query."""

_LOCKED = {
    "temp_directory": "''",
    "enable_external_access": "false",  # no file, no network, no extension
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",  # a name in a query cannot refer to a variable of this program
    "lock_configuration": "true",
}
_WHOLE_QUERY = re.compile(r"\s*(select|with|from)\b", re.IGNORECASE)


def query_dataset(folder: Path, index: DatasetIndex, question: str) -> pyarrow.Table:
    """Returns the rows of a dataset's table that fulfil a condition, or the result of a SELECT from ``views``.

    A condition, such as ``synset = '02691156' and rotation_z > 1``, gives views in the order of the index, without the
    columns of offsets and sizes.

    Raises:
        UsageError: The query is not valid.
        IebenchError: The dataset has no table, or its table is broken.
    """
    path = open_table(folder, index).path
    names = [name for name in table_schema(index).names if not name.endswith(("_offset", "_size"))]
    columns = ", ".join('"' + name.replace('"', '""') + '"' for name in names)
    whole = _WHOLE_QUERY.match(question) is not None
    text = question if whole else f"SELECT {columns} FROM {VIEWS} WHERE (\n{question}\n)"
    with duckdb.connect(":memory:") as connection:
        connection.register(VIEWS, pyarrow.dataset.dataset(path))
        for name, value in _LOCKED.items():
            connection.execute(f"SET {name} = {value}")
        try:
            statements = connection.extract_statements(text)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise UsageError(f"a query is a condition, or one SELECT from {VIEWS}; this is neither")
            return connection.sql(text).to_arrow_table()
        except duckdb.Error as error:
            raise UsageError(f"the query cannot be answered: {first_line(error)}") from None
        except pyarrow.ArrowException as error:
            raise IebenchError(
                f"{path} cannot be read ({first_line(error)}); run `iebench index` on the dataset"
            ) from None


def write_rows(rows: pyarrow.Table, path: Path) -> None:
    """Writes rows in the format of the file's extension: ``.csv``, ``.jsonl`` or ``.parquet``.

    Raises:
        UsageError: The file has another extension.
    """
    writers: dict[str, Callable[[pyarrow.Table, IO[bytes]], object]] = {
        ".csv": pyarrow.csv.write_csv,
        ".jsonl": _write_lines,
        ".parquet": pyarrow.parquet.write_table,
    }
    writer = writers.get(path.suffix.lower())
    if writer is None:
        raise UsageError(f"{path} names no format that rows are written in; call it .csv, .jsonl or .parquet")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as stream:
        writer(rows, stream)


def _write_lines(rows: pyarrow.Table, stream: IO[bytes]) -> None:
    for batch in rows.to_batches():
        for row in batch.to_pylist():
            stream.write(json.dumps(row, default=str).encode() + b"\n")
