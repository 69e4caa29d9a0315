"""Reads the rows of ``latents.parquet`` that belong to one shard, from a file or from an address.

While the table at an address is not in the cache, it is read with range requests: first its footer, which tells for
each shard the first and last of its names, and then the rows of single shards. Rows are not trusted: the bytes of each
view that is read are checked against its name.
"""

import io
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from shards.origin import origin_of
from shards.remote.connection import RangesUnsupported
from shards.remote.download import download_range
from shards.schema import DatasetIndex, ShardInfo
from shards.table import TABLE_NAME, LatentsTable, all_byte_range_columns, byte_ranges_of, open_table
from shards.view_bytes import ViewName


class TableRows:
    """Reads names and byte ranges of the views of single shards. Several threads may use it, and it can be pickled."""

    def __init__(self, folder: Path, index: DatasetIndex) -> None:
        self._folder = folder
        self._index = index
        self._table: LatentsTable | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type["TableRows"], tuple[Path, DatasetIndex]]:
        """Leaves the table and the lock out of the pickle; another process opens the table itself."""
        return TableRows, (self._folder, self._index)

    def open(self) -> None:
        """Opens the table.

        Raises:
            IebenchError: There is no table, or it belongs to other shards than the index.
        """
        with self._lock:
            self._opened()

    def read_shard(self, shard: ShardInfo) -> tuple[list[ViewName], np.ndarray]:
        """Returns the names of a shard's views, and (views, members, 2) int64 offsets and sizes in bytes.

        Raises:
            IebenchError: The rows cannot be read.
        """
        columns = ["synset", "object", "view", *all_byte_range_columns(self._index)]
        with self._lock:
            try:
                rows = self._opened().rows_of(shard, columns)
            except RangesUnsupported:  # download the whole table
                self._table = open_table(self._folder, self._index)
                rows = self._table.rows_of(shard, columns)
        names = [rows[name].to_pylist() for name in ("synset", "object", "view")]
        return list(zip(*names, strict=True)), byte_ranges_of(rows, self._index)

    def may_hold(self, shards: Sequence[ShardInfo], synset: str, object_id: str) -> list[ShardInfo]:
        """Returns those shards whose range of names includes an object; usually one."""
        with self._lock:
            table = self._opened()
            return [
                shard
                for shard in shards
                if table.may_hold(shard, "synset", synset) and table.may_hold(shard, "object", object_id)
            ]

    def _opened(self) -> LatentsTable:
        if self._table is None:
            info, address = self._index.latents_table, origin_of(self._folder)
            path = self._folder / TABLE_NAME
            if info is not None and address is not None and not path.is_file():
                location = f"{address}/{TABLE_NAME}"
                with suppress(RangesUnsupported):
                    remote = _RangeFile(location, info.bytes)
                    self._table = LatentsTable(path, self._index, location, remote)
        if self._table is None:
            self._table = open_table(self._folder, self._index)
        return self._table


class _RangeFile(io.RawIOBase):
    """A seekable file at an address, which is read with range requests."""

    def __init__(self, address: str, size: int) -> None:
        self._address = address
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = (
            offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        )
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._position + size, self._size)
        if stop <= self._position:
            return b""
        data = download_range(self._address, self._position, stop)
        self._position = stop
        return data
