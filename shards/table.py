"""Writes and reads ``latents.parquet``, which has a row for each view of a dataset: its latents and its byte ranges.

The table is made from the shards and adds nothing to them. With it, programs get latents, find views and read single
views without reading whole shards. Each shard is one row group, in the order of the index, so that the rows of one
shard can be read alone, also with HTTP range requests.

=====================  ========  ==========================================================================
column                 type      meaning
=====================  ========  ==========================================================================
key                    string    WebDataset key of the sample
split, shard           string    ``train`` or ``val``, and the name of the ``.tar`` file
synset, object         string    synset and name of the object
view, label            int32     number of the view, label of the class
scale                  float64   factor by which the model was scaled; null if it kept its own size
one for each latent    float64   value of the latent, exactly as in the ``.json``
jpg_offset, jpg_size   int64     offset of the ``.jpg`` in the shard, and its size in bytes
json_offset, ...       int64     the same for the ``.json`` and for each pass (``mask_png_offset``, ...)
=====================  ========  ==========================================================================
"""

import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, BinaryIO

import numpy as np
import pyarrow
import pyarrow.parquet

from shards.errors import IebenchError, first_line
from shards.files import atomic_write, sha256_of
from shards.mirror import local_file
from shards.origin import origin_of
from shards.passes import Pass, member_of
from shards.reader import parse_metadata
from shards.samples import Sample, key_of
from shards.schema import DatasetIndex, ShardInfo, TableInfo
from shards.tar import Damage, read_members
from shards.variants import Latent

TABLE_NAME = "latents.parquet"
TABLE_VERSION = "1"

_VERSION_KEY, _SHARDS_KEY = b"iebench.version", b"iebench.shards"
_WORDS = ["split", "shard", "synset", "object"]
"""Columns with few different values."""
_BUFFER = 1 << 18


def table_schema(index: DatasetIndex) -> pyarrow.Schema:
    """Returns the columns of a dataset's table, with metadata: the table's version and a SHA-256 over its shards."""
    lines = [f"{split} {shard.name} {shard.sha256}\n" for split, shard in index.all_shards()]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    columns = table_columns(index.latents, index.passes)
    return columns.with_metadata({_VERSION_KEY: TABLE_VERSION, _SHARDS_KEY: digest})


def table_columns(latents: Sequence[Latent], passes: Sequence[Pass]) -> pyarrow.Schema:
    """Returns the columns of the table of a dataset with these latents and passes, in order.

    Raises:
        IebenchError: A latent has the name of another column.
    """
    columns = [
        ("key", pyarrow.string()),
        *((name, pyarrow.string()) for name in _WORDS),
        ("view", pyarrow.int32()),
        ("label", pyarrow.int32()),
        ("scale", pyarrow.float64()),
        *((latent.name, pyarrow.float64()) for latent in latents),
        *(
            (column, pyarrow.int64())
            for member in members_with(passes)
            for column in byte_range_columns(member)
        ),
    ]
    names = [name for name, _ in columns]
    if len(set(names)) != len(names):
        raise IebenchError(f"a latent of this dataset has the name of another column of {TABLE_NAME}")
    return pyarrow.schema(columns)


def members_with(passes: Sequence[Pass]) -> tuple[str, ...]:
    """Returns the extensions of a sample's members, in the order of the columns with their offsets."""
    return ("jpg", "json", *map(member_of, passes))


def byte_range_columns(member: str) -> tuple[str, str]:
    """Returns the names of the columns with a member's offset and size."""
    name = member.replace(".", "_")
    return f"{name}_offset", f"{name}_size"


def all_byte_range_columns(index: DatasetIndex) -> list[str]:
    """Returns the names of the columns with the offsets and sizes of all members, in order."""
    return [column for member in members_with(index.passes) for column in byte_range_columns(member)]


def byte_ranges_of(rows: pyarrow.Table, index: DatasetIndex) -> np.ndarray:
    """Returns (views, members, 2) int64: the offset and size in bytes of each member of each view."""
    columns = [rows[name].to_numpy() for name in all_byte_range_columns(index)]
    return np.stack(columns, axis=1).reshape(rows.num_rows, -1, 2)


def rows_of_shard(path: Path, split: str, latents: Sequence[Latent], passes: Sequence[Pass]) -> pyarrow.Table:
    """Makes the rows of one shard of a split from its metadata; its images are skipped.

    Raises:
        IebenchError: The shard is damaged, or a sample lacks a member or has a wrong number of latents.
    """
    schema = table_columns(latents, passes)
    columns: dict[str, list] = {name: [] for name in schema.names}
    names, members = [latent.name for latent in latents], members_with(passes)
    try:
        with path.open("rb", buffering=_BUFFER) as stream:
            for sample, byte_ranges in _samples_with_byte_ranges(stream, path):
                metadata = parse_metadata(sample, path)
                absent = [member for member in members if member not in byte_ranges]
                if absent or len(metadata.latents) != len(names):
                    what = f"it lacks .{absent[0]}" if absent else "it has another number of latents"
                    raise IebenchError(
                        f"shard {path}, sample {metadata.key}: {what}; run `iebench verify` on the dataset"
                    )
                row: dict[str, object] = {
                    "key": sample["__key__"],
                    "split": split,
                    "shard": path.name,
                    **metadata.model_dump(include={"synset", "object", "view", "label", "scale"}),
                    **dict(zip(names, metadata.latents, strict=True)),
                }
                for member in members:
                    row.update(zip(byte_range_columns(member), byte_ranges[member], strict=True))
                for name, values in columns.items():
                    values.append(row[name])
    except OSError as error:
        raise IebenchError(f"shard {path} cannot be read ({error})") from None
    return pyarrow.table(columns, schema)


def _samples_with_byte_ranges(
    stream: BinaryIO, path: Path
) -> Iterable[tuple[Sample, dict[str, tuple[int, int]]]]:
    """Yields the samples of a shard, of which only the ``.json`` is read, with the offset and size of each member."""
    sample: Sample = {}
    byte_ranges: dict[str, tuple[int, int]] = {}
    for member in read_members(stream, lambda number, name: name.endswith(".json")):
        if isinstance(member, Damage):
            raise IebenchError(
                f"shard {path} is damaged ({member.name or member.after}: {member.message}); "
                "run `iebench verify` on the dataset"
            )
        key = key_of(member.name)
        if sample.get("__key__") != key:
            if sample:
                yield sample, byte_ranges
            sample, byte_ranges = {"__key__": key}, {}
        extension = member.name[len(key) + 1 :]
        sample[extension] = member.data
        byte_ranges[extension] = (member.start, member.size)
    if sample:
        yield sample, byte_ranges


def write_table(folder: Path, index: DatasetIndex, rows: Iterable[pyarrow.Table]) -> TableInfo:
    """Writes the table of a dataset atomically from the rows of each shard, and returns its entry for the index."""
    path = folder / TABLE_NAME
    with atomic_write(path) as stream:
        write_rows(stream, table_schema(index), rows)
    return TableInfo(bytes=path.stat().st_size, sha256=sha256_of(path))


def write_rows(stream: IO[bytes], schema: pyarrow.Schema, rows: Iterable[pyarrow.Table]) -> None:
    """Writes tables as Parquet, each as one row group. Equal tables give equal bytes."""
    range_columns = [name for name in schema.names if name.endswith(("_offset", "_size"))]
    with pyarrow.parquet.ParquetWriter(
        stream,
        schema,
        compression="zstd",
        use_dictionary=_WORDS,  # a dictionary would save nothing for latents, which are all different
        column_encoding=dict.fromkeys(range_columns, "DELTA_BINARY_PACKED"),
    ) as writer:
        for table in rows:
            whole = table.cast(schema).combine_chunks()  # otherwise the bytes would depend on the chunks
            writer.write_table(whole, row_group_size=max(1, table.num_rows))


class LatentsTable:
    """The open table of a dataset.

    Args:
        path: Path of the Parquet file.
        index: Index of the dataset.
        location: Path or address of the table, for error messages.
        remote: File to read instead of ``path``, if the table is not downloaded.

    Attributes:
        shards: Shards that the table describes.

    Raises:
        IebenchError: The table cannot be read, has another version, or describes other shards than the index.
    """

    def __init__(
        self, path: Path, index: DatasetIndex, location: str, remote: io.RawIOBase | None = None
    ) -> None:
        self.path = path
        self._location = location
        shards = [shard for _, shard in index.all_shards()]
        self._groups = {shard.name: number for number, shard in enumerate(shards)}
        self.shards = frozenset(shards)
        schema = table_schema(index)
        try:
            self._file = pyarrow.parquet.ParquetFile(remote or path, read_dictionary=_WORDS)
        except (pyarrow.ArrowException, OSError) as error:
            raise self._broken(f"cannot be read ({first_line(error)})") from None
        found = self._file.schema_arrow.metadata or {}
        if found.get(_VERSION_KEY) != TABLE_VERSION.encode():
            raise self._broken("is of another version")
        if found.get(_SHARDS_KEY) != schema.metadata[_SHARDS_KEY]:
            raise self._broken("was made of other shards than dataset.json names")
        if (self._file.schema_arrow.names, self._file.num_row_groups) != (schema.names, len(self._groups)):
            raise self._broken("has other columns or row groups than the dataset")

    def rows_of(self, shard: ShardInfo, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """Reads the rows of one shard, in order; see ``read``."""
        return self.read([shard], columns)

    def read(self, shards: Sequence[ShardInfo], columns: Sequence[str] | None = None) -> pyarrow.Table:
        """Reads all or some columns of the rows of several shards, in the given order.

        Raises:
            IebenchError: The rows cannot be read, or their number is not that in the index.
        """
        groups = [self._groups[shard.name] for shard in shards]
        try:
            table = self._file.read_row_groups(groups, columns and list(columns), use_threads=False)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise self._broken(f"cannot be read ({first_line(error)})") from None
        if table.num_rows != sum(shard.views for shard in shards):
            raise self._broken("has another number of rows than dataset.json says")
        return table

    def may_hold(self, shard: ShardInfo, column: str, value: str) -> bool:
        """Returns whether a text may be in a shard's column, by the least and greatest value in the table's footer."""
        group = self._file.metadata.row_group(self._groups[shard.name])
        known = group.column(self._file.schema_arrow.names.index(column)).statistics
        return known is None or not known.has_min_max or known.min <= value <= known.max

    def _broken(self, what: str) -> IebenchError:
        return IebenchError(f"{self._location} {what}; run `iebench index` on the dataset where it was made")


def open_table(folder: Path, index: DatasetIndex) -> LatentsTable:
    """Opens the table of a dataset after checking its SHA-256. In a mirror, it is downloaded first if it is missing.

    Raises:
        IebenchError: There is no table, or its size or SHA-256 is not that in the index.
    """
    location = f"{origin_of(folder) or folder}/{TABLE_NAME}"
    info = index.latents_table
    if info is None:
        raise IebenchError(f"{location} is not there; run `iebench index` on the dataset where it was made")
    path = local_file(folder, TABLE_NAME, info.bytes, info.sha256)
    problem = _table_problem(path, info)
    if problem is not None:
        raise IebenchError(f"{location} {problem}; run `iebench index` on the dataset to make it anew")
    return LatentsTable(path, index, location)


def _table_problem(path: Path, info: TableInfo) -> str | None:
    try:
        size = path.stat().st_size
        if size != info.bytes:
            return f"has {size:,} bytes and should have {info.bytes:,}"
        if sha256_of(path) != info.sha256:
            return "has another SHA-256 than the one in dataset.json"
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None
