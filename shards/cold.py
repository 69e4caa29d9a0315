"""The start of a stream from an address: views are read one by one until the shards that hold them have come.

Whole shards go to the cache, and the first batches need a little of many of them: with 64 lanes that read 4 shards each,
256 shards of 60 MB would have to come before the first step. So the first shards of each lane are read over HTTP ranges,
whose places ``latents.parquet`` tells, and come in the background meanwhile. The order of the views is the same.
"""

import queue
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import numpy as np

from shards.errors import IebenchError
from shards.lanes import Segment
from shards.mirror import is_here, local_shard
from shards.reader import View, read_objects
from shards.remote.connection import NoRanges
from shards.rows import TableRows
from shards.schema import DatasetIndex, ShardInfo
from shards.single import ViewName, read_view, read_views_at

CONNECTIONS = 16
"""Ranges that one process asks for at a time."""
_AHEAD = 4  # objects that are asked for before the one that is read


class ColdObject:
    """The views of an object, each of which is asked for when it is taken, and is a Future until it has come."""

    def __init__(
        self, start: "ColdStart", shard: ShardInfo, names: list[ViewName], places: np.ndarray
    ) -> None:
        self._start = start
        self._shard = shard
        self._names = names
        self._places = places

    def __getitem__(self, view: int) -> "Future[View]":
        start = self._start
        return start.threads.submit(
            read_view, start.folder, start.index, self._shard, self._places[view], self._names[view]
        )

    def all(self) -> "Future[list[View]]":
        """All views, in one range."""
        start = self._start
        return start.threads.submit(
            read_views_at, start.folder, start.index, self._shard, self._places, self._names
        )


class ColdStart:
    """Reads objects of shards that are not in the cache, and has these shards come.

    Args:
        folder: The folder of the mirror.
        index: The dataset's index.
    """

    def __init__(self, folder: Path, index: DatasetIndex) -> None:
        self.folder = folder
        self.index = index
        self._rows = TableRows(folder, index)
        self.threads = ThreadPoolExecutor(CONNECTIONS, "views")
        self._wanted: queue.SimpleQueue[ShardInfo] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def objects(self, segment: Segment) -> "Iterator[ColdObject | list[View]]":
        """The objects of a segment; those of a shard that has come as lists of views.

        Raises:
            IebenchError: nothing can be read, or the table does not fit the dataset.
        """
        shard = segment.shard
        try:
            rows = None if is_here(self.folder, shard) else self._rows.of(shard)
        except NoRanges:
            rows = None
        if rows is None:
            yield from read_objects(self.folder, self.index, shard, segment.start, segment.stop)
            return
        names, places = rows
        views = self.index.views_per_object
        for number in range(segment.start, segment.stop):
            own = slice(number * views, (number + 1) * views)
            yield ColdObject(self, shard, names[own], places[own])

    def views(self, segment: Segment) -> Iterator[list[View]]:
        """All views of each object of a segment, a few of them asked for in advance."""
        waiting: deque[Future[list[View]] | list[View]] = deque()
        for item in self.objects(segment):
            waiting.append(item.all() if isinstance(item, ColdObject) else item)
            if len(waiting) > _AHEAD:
                yield _whole(waiting.popleft())
        while waiting:
            yield _whole(waiting.popleft())

    def fetch(self, shard: ShardInfo) -> None:
        """Has a shard come in the background, after those that were asked for before, once ``begin`` was called."""
        self._wanted.put(shard)

    def begin(self) -> None:
        """Begins to fetch shards: the first views have come, and had the connection to themselves."""
        if self._thread is None:
            # A daemon: whoever stops reading does not wait for it, and what it has fetched is taken up later.
            self._thread = threading.Thread(target=self._fetch_all, daemon=True)
            self._thread.start()

    def _fetch_all(self) -> None:
        while True:
            with suppress(IebenchError):  # which whoever reads the shard meets again
                local_shard(self.folder, self._wanted.get())


def _whole(item: "Future[list[View]] | list[View]") -> list[View]:
    return item.result() if isinstance(item, Future) else item
