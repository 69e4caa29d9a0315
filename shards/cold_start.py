"""Starts a stream from an address quickly: the first views are read one by one, before their shards are downloaded.

The first batches need a few views from many shards. With 64 lanes that read 4 shards each, 256 shards of 60 MB would
have to be downloaded before the first step. So views of the first shards of each lane are read with HTTP range
requests, at the byte ranges in ``latents.parquet``, while these shards are downloaded in the background. The order of
the views is the same.
"""

import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shards.errors import IebenchError
from shards.lanes import Segment
from shards.mirror import is_here, local_shard
from shards.reader import View, read_objects
from shards.remote.connection import RangesUnsupported
from shards.rows import TableRows
from shards.schema import DatasetIndex, ShardInfo
from shards.view_bytes import ViewName, read_view, read_views_at

CONNECTIONS = 16
"""Number of range requests that one process makes at a time."""
_AHEAD = 4  # objects that are requested in advance


@dataclass(frozen=True, eq=False)
class ColdObject:
    """The views of an object whose shard is not downloaded yet. Indexing requests a view and gives its Future."""

    start: "ColdStart"
    shard: ShardInfo
    names: list[ViewName]
    byte_ranges: np.ndarray

    def __getitem__(self, view: int) -> "Future[View]":
        start = self.start
        return start.threads.submit(
            read_view, start.folder, start.index, self.shard, self.byte_ranges[view], self.names[view]
        )

    def all(self) -> "Future[list[View]]":
        """Requests all views in one range."""
        start = self.start
        return start.threads.submit(
            read_views_at, start.folder, start.index, self.shard, self.byte_ranges, self.names
        )


class ColdStart:
    """Reads objects of shards that are not in the cache of a mirror, and downloads these shards in the background."""

    def __init__(self, folder: Path, index: DatasetIndex) -> None:
        self.folder = folder
        self.index = index
        self._rows = TableRows(folder, index)
        self.threads = ThreadPoolExecutor(CONNECTIONS, "views")
        self._wanted: queue.SimpleQueue[ShardInfo] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def objects(self, segment: Segment) -> "Iterator[ColdObject | list[View]]":
        """Yields the objects of a segment: lists of views if the shard is in the cache, otherwise ``ColdObject``.

        Raises:
            IebenchError: The shard or the table cannot be read, or the table does not fit the dataset.
        """
        shard = segment.shard
        try:
            rows = None if is_here(self.folder, shard) else self._rows.read_shard(shard)
        except RangesUnsupported:
            rows = None
        if rows is None:
            yield from read_objects(self.folder, self.index, shard, segment.start, segment.stop)
            return
        names, byte_ranges = rows
        views = self.index.views_per_object
        for number in range(segment.start, segment.stop):
            own = slice(number * views, (number + 1) * views)
            yield ColdObject(self, shard, names[own], byte_ranges[own])

    def views(self, segment: Segment) -> Iterator[list[View]]:
        """Yields all views of each object of a segment; the next few objects are requested in advance."""
        waiting: deque[Future[list[View]] | list[View]] = deque()
        for item in self.objects(segment):
            waiting.append(item.all() if isinstance(item, ColdObject) else item)
            if len(waiting) > _AHEAD:
                yield _whole(waiting.popleft())
        while waiting:
            yield _whole(waiting.popleft())

    def fetch(self, shard: ShardInfo) -> None:
        """Puts a shard at the end of the list of downloads, which starts when ``begin`` is called."""
        self._wanted.put(shard)

    def begin(self) -> None:
        """Starts to download shards; called after the first batch, so that its views do not share the connection."""
        if self._thread is None:
            # A daemon thread, so that exiting does not wait for it; a later download continues where it stopped.
            self._thread = threading.Thread(target=self._fetch_all, daemon=True)
            self._thread.start()

    def _fetch_all(self) -> None:
        while True:
            with suppress(IebenchError):  # reading the shard will raise it again
                local_shard(self.folder, self._wanted.get())


def _whole(item: "Future[list[View]] | list[View]") -> list[View]:
    return item.result() if isinstance(item, Future) else item
