"""``latents.parquet``: a row for each view of a dataset, with its latents and where its bytes stand.

It says nothing that the shards do not say, and is made of them: with it, latents are known, views found and single
views read without walking through shards. Row groups are the shards in the order of the index, so that the rows of one
shard can be read alone, also over HTTP ranges.

=====================  ========  ==========================================================================
column                 type      what
=====================  ========  ==========================================================================
key                    string    the sample's WebDataset key
split, shard           string    where it is: ``train`` or ``val``, and the name of the ``.tar``
synset, object         string    which object it shows
view, label            int32     the view's number, the class's label
scale                  float64   the factor that the model was scaled by; null where it has its own size
one for each latent    float64   by the latent's name, exactly as in the ``.json``
jpg_offset, jpg_size   int64     the first byte of the ``.jpg`` in the shard, and how many there are
json_offset, ...       int64     likewise of the ``.json`` and of each pass (``mask_png_offset``, ...)
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

from shards.errors import IebenchError
from shards.files import atomic_write, sha256_of
from shards.mirror import local_file
from shards.origin import origin_of
from shards.passes import Pass, member_of
from shards.reader import parse_metadata
from shards.samples import Sample, key_of
from shards.schema import DatasetIndex, Latent, ShardInfo, TableInfo
from shards.tar import Damage, read_members

TABLE_NAME = "latents.parquet"
TABLE_VERSION = "1"

_VERSION_KEY, _SHARDS_KEY = b"iebench.version", b"iebench.shards"
_WORDS = ["split", "shard", "synset", "object"]
"""Columns in which few values stand many times."""
_BUFFER = 1 << 18


def table_schema(index: DatasetIndex) -> pyarrow.Schema:
    """The columns of a dataset's table, in order, and what it was made of."""
    made_of = {_VERSION_KEY: TABLE_VERSION, _SHARDS_KEY: shards_digest(index)}
    return table_columns(index.latents, index.passes).with_metadata(made_of)


def table_columns(latents: Sequence[Latent], passes: Sequence[Pass]) -> pyarrow.Schema:
    """The columns of the table of a dataset with these latents and passes, in order.

    Raises:
        IebenchError: a latent has the name of another column.
    """
    columns = [
        ("key", pyarrow.string()),
        *((name, pyarrow.string()) for name in _WORDS),
        ("view", pyarrow.int32()),
        ("label", pyarrow.int32()),
        ("scale", pyarrow.float64()),
        *((latent.name, pyarrow.float64()) for latent in latents),
        *((column, pyarrow.int64()) for member in members_with(passes) for column in place_columns(member)),
    ]
    names = [name for name, _ in columns]
    if len(set(names)) != len(names):
        raise IebenchError(f"a latent of this dataset has the name of another column of {TABLE_NAME}")
    return pyarrow.schema(columns)


def members_with(passes: Sequence[Pass]) -> tuple[str, ...]:
    """The extensions of a sample's members, in the order of the columns that say where they stand."""
    return ("jpg", "json", *map(member_of, passes))


def place_columns(member: str) -> tuple[str, str]:
    """The columns with the offset and the size of a member, in bytes."""
    name = member.replace(".", "_")
    return f"{name}_offset", f"{name}_size"


def place_names(index: DatasetIndex) -> list[str]:
    """The columns with offsets and sizes of all members, in order."""
    return [column for member in members_with(index.passes) for column in place_columns(member)]


def places_of(rows: pyarrow.Table, index: DatasetIndex) -> np.ndarray:
    """(views, members, 2) int64: offset and size of each member of each view, in bytes."""
    columns = [rows[name].to_numpy() for name in place_names(index)]
    return np.stack(columns, axis=1).reshape(rows.num_rows, -1, 2)


def shards_digest(index: DatasetIndex) -> str:
    """SHA-256 over the names and checksums of the shards in order: which shards a table was made of."""
    lines = [f"{split} {shard.name} {shard.sha256}\n" for split, shard in _shards(index)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def rows_of_shard(path: Path, split: str, latents: Sequence[Latent], passes: Sequence[Pass]) -> pyarrow.Table:
    """The rows of one shard; its images are passed over unread.

    Args:
        path: The shard's file.
        split: The split that it belongs to.
        latents: The dataset's latents, in order.
        passes: The dataset's passes, in order.

    Raises:
        IebenchError: the shard is damaged, or a sample lacks a member or has another number of latents.
    """
    schema = table_columns(latents, passes)
    columns: dict[str, list] = {name: [] for name in schema.names}
    names, members = [latent.name for latent in latents], members_with(passes)
    try:
        with path.open("rb", buffering=_BUFFER) as stream:
            for sample, places in _samples_with_places(stream, path):
                metadata = parse_metadata(sample, path)
                absent = [member for member in members if member not in places]
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
                    row.update(zip(place_columns(member), places[member], strict=True))
                for name, values in columns.items():
                    values.append(row[name])
    except OSError as error:
        raise IebenchError(f"shard {path} cannot be read ({error})") from None
    return pyarrow.table(columns, schema)


def _samples_with_places(stream: BinaryIO, path: Path) -> Iterable[tuple[Sample, dict[str, tuple[int, int]]]]:
    """The samples of a shard with ``.json`` alone read, and offset and size of each member by extension."""
    sample: Sample = {}
    places: dict[str, tuple[int, int]] = {}
    for member in read_members(stream, lambda number, name: name.endswith(".json")):
        if isinstance(member, Damage):
            raise IebenchError(
                f"shard {path} is damaged ({member.name or member.after}: {member.message}); "
                "run `iebench verify` on the dataset"
            )
        key = key_of(member.name)
        if sample.get("__key__") != key:
            if sample:
                yield sample, places
            sample, places = {"__key__": key}, {}
        extension = member.name[len(key) + 1 :]
        sample[extension] = member.data
        places[extension] = (member.start, member.size)
    if sample:
        yield sample, places


def write_table(folder: Path, index: DatasetIndex, rows: Iterable[pyarrow.Table]) -> TableInfo:
    """Writes the table of a dataset, under a temporary name until it is whole.

    Args:
        folder: The dataset's folder.
        index: The dataset's index.
        rows: The rows of each shard, in the order of the index.

    Returns:
        What ``dataset.json`` is to say of it.
    """
    path = folder / TABLE_NAME
    schema = table_schema(index)
    with atomic_write(path) as stream:
        write_rows(stream, schema, rows)
    return TableInfo(bytes=path.stat().st_size, sha256=sha256_of(path))


def write_rows(stream: IO[bytes], schema: pyarrow.Schema, rows: Iterable[pyarrow.Table]) -> None:
    """Writes tables as Parquet, each as one row group; equal tables give equal bytes."""
    places = [name for name in schema.names if name.endswith(("_offset", "_size"))]
    with pyarrow.parquet.ParquetWriter(
        stream,
        schema,
        compression="zstd",
        use_dictionary=_WORDS,  # latents are all different: a dictionary of them is as long as they are
        column_encoding=dict.fromkeys(places, "DELTA_BINARY_PACKED"),
    ) as writer:
        for table in rows:
            whole = table.cast(schema).combine_chunks()  # chunks would decide where pages end
            writer.write_table(whole, row_group_size=max(1, table.num_rows))


class LatentsTable:
    """The table of a dataset, opened.

    Args:
        path: The Parquet file.
        index: The dataset's index.
        place: Where the table is from, for the errors.
        remote: What to read instead of ``path``, where the file is not here as a whole.

    Attributes:
        shards: What the table was made of.

    Raises:
        IebenchError: it is no table of this version, or of other shards than the index names.
    """

    def __init__(
        self, path: Path, index: DatasetIndex, place: str, remote: io.RawIOBase | None = None
    ) -> None:
        self.path = path
        self._place = place
        self._groups = {shard.name: number for number, (_, shard) in enumerate(_shards(index))}
        self.shards = frozenset(shard for _, shard in _shards(index))
        schema = table_schema(index)
        try:
            self._file = pyarrow.parquet.ParquetFile(remote or path, read_dictionary=_WORDS)
        except (pyarrow.ArrowException, OSError) as error:
            raise self._broken(f"cannot be read ({str(error).splitlines()[0]})") from None
        found = self._file.schema_arrow.metadata or {}
        if found.get(_VERSION_KEY) != TABLE_VERSION.encode():
            raise self._broken("is of another version")
        if found.get(_SHARDS_KEY) != schema.metadata[_SHARDS_KEY]:
            raise self._broken("was made of other shards than dataset.json names")
        if (self._file.schema_arrow.names, self._file.num_row_groups) != (schema.names, len(self._groups)):
            raise self._broken("has other columns or row groups than the dataset")

    def rows_of(self, shard: ShardInfo, columns: Sequence[str] | None = None) -> pyarrow.Table:
        """The rows of one shard, in order.

        Args:
            shard: A shard of the index.
            columns: Names of the columns that are read; by default all.

        Raises:
            IebenchError: they cannot be read, or are more or fewer than the index says.
        """
        return self._checked(shard.views, [self._groups[shard.name]], columns)

    def read(self, shards: Sequence[ShardInfo], columns: Sequence[str] | None = None) -> pyarrow.Table:
        """The rows of several shards; all else as ``rows_of``."""
        views = sum(shard.views for shard in shards)
        return self._checked(views, [self._groups[shard.name] for shard in shards], columns)

    def may_hold(self, shard: ShardInfo, column: str, value: str) -> bool:
        """Whether a value is between the least and the greatest of a column of text in a shard, as the footer says."""
        group = self._file.metadata.row_group(self._groups[shard.name])
        known = group.column(self._file.schema_arrow.names.index(column)).statistics
        return known is None or not known.has_min_max or known.min <= value <= known.max

    def _checked(self, views: int, groups: list[int], columns: Sequence[str] | None) -> pyarrow.Table:
        try:
            table = self._file.read_row_groups(groups, columns and list(columns), use_threads=False)
        except (pyarrow.ArrowException, OSError, ValueError) as error:
            raise self._broken(f"cannot be read ({str(error).splitlines()[0]})") from None
        if table.num_rows != views:
            raise self._broken("has another number of rows than dataset.json says")
        return table

    def _broken(self, what: str) -> IebenchError:
        return IebenchError(f"{self._place} {what}; run `iebench index` on the dataset where it was made")


def open_table(folder: Path, index: DatasetIndex) -> LatentsTable:
    """The table of a dataset, with its SHA-256 checked; the one of a mirror is fetched where it is missing.

    Raises:
        IebenchError: there is none, or it is not the one that the index speaks of.
    """
    place = f"{origin_of(folder) or folder}/{TABLE_NAME}"
    info = index.latents_table
    if info is None:
        raise IebenchError(f"{place} is not there; run `iebench index` on the dataset where it was made")
    path = local_file(folder, TABLE_NAME, info.bytes, info.sha256)
    problem = table_problem(path, info)
    if problem is not None:
        raise IebenchError(f"{place} {problem}; run `iebench index` on the dataset to make it anew")
    return LatentsTable(path, index, place)


def table_problem(path: Path, info: TableInfo) -> str | None:
    """What is wrong with the file of a table as a whole; None where nothing is."""
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


def _shards(index: DatasetIndex) -> list[tuple[str, ShardInfo]]:
    return [(name, shard) for name, split in index.splits.items() for shard in split.shards]
