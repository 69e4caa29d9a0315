"""Rows of ``latents.parquet``, a shard at a time, read where the table stands.

The table of a dataset at an address is read by ranges until it is in the cache as a whole: its footer, which says for each
shard which names it may hold, and then the rows of the shards that are asked for. What it says is checked by each view's
own bytes.
"""

import io
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from shards.origin import origin_of
from shards.remote.connection import NoRanges
from shards.remote.download import download_range
from shards.schema import DatasetIndex, ShardInfo
from shards.single import ViewName
from shards.table import TABLE_NAME, LatentsTable, open_table, place_names, places_of


class TableRows:
    """Names and places of the views of single shards; may be used by several threads and handed to other processes.

    Args:
        folder: The dataset's folder, or the folder of its mirror.
        index: The dataset's index.
    """

    def __init__(self, folder: Path, index: DatasetIndex) -> None:
        self._folder = folder
        self._index = index
        self._table: LatentsTable | None = None
        self._lock = threading.Lock()

    def __getstate__(self) -> tuple[Path, DatasetIndex]:
        """What another process needs to open the table itself."""
        return self._folder, self._index

    def __setstate__(self, state: tuple[Path, DatasetIndex]) -> None:
        """Starts with the table unopened."""
        self.__init__(*state)  # type: ignore[misc]

    def open(self) -> None:
        """Makes sure that there is a table and that it fits the index.

        Raises:
            IebenchError: there is none, or it is of other shards.
        """
        with self._lock:
            self._opened()

    def of(self, shard: ShardInfo) -> tuple[list[ViewName], np.ndarray]:
        """Name of each view of a shard, and (views, members, 2) int64 offsets and sizes of its members in bytes.

        Raises:
            IebenchError: the rows cannot be read.
        """
        columns = ["synset", "object", "view", *place_names(self._index)]
        with self._lock:
            try:
                rows = self._opened().rows_of(shard, columns)
            except NoRanges:  # the table comes as a whole
                self._table = open_table(self._folder, self._index)
                rows = self._table.rows_of(shard, columns)
        names = [rows[name].to_pylist() for name in ("synset", "object", "view")]
        return list(zip(*names, strict=True)), places_of(rows, self._index)

    def may_hold(self, shards: Sequence[ShardInfo], synset: str, object_id: str) -> list[ShardInfo]:
        """Those of some shards in whose range of names an object is; usually one."""
        with self._lock:
            table = self._opened()
            return [
                shard
                for shard in shards
                if table.may_hold(shard, "synset", synset) and table.may_hold(shard, "object", object_id)
            ]

    def _opened(self) -> LatentsTable:
        if self._table is None:
            info = self._index.latents_table
            path = self._folder / TABLE_NAME
            if info is None or origin_of(self._folder) is None or path.is_file():
                self._table = open_table(self._folder, self._index)
            else:
                place = f"{origin_of(self._folder)}/{TABLE_NAME}"
                try:
                    remote = _RangeFile(place, info.bytes)
                    self._table = LatentsTable(path, self._index, place, remote)
                except NoRanges:
                    self._table = open_table(self._folder, self._index)
        return self._table


class _RangeFile(io.RawIOBase):
    """A file at an address that is read by ranges."""

    def __init__(self, address: str, size: int) -> None:
        self._address = address
        self._size = size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        return self._place

    def tell(self) -> int:
        return self._place

    def read(self, size: int | None = -1) -> bytes:
        stop = self._size if size is None or size < 0 else min(self._place + size, self._size)
        if stop <= self._place:
            return b""
        data = download_range(self._address, self._place, stop)
        self._place = stop
        return data
