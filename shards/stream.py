"""Streams of batches from shards: ``DrawStream`` for training, and ``ViewStream`` for evaluation.

A draw is a few views of one object that a method sees together, such as a pair. ``shards.lanes`` shows how objects are
divided between processes and workers, ``shards.draws`` in which order they are drawn, and ``DrawStream._pass`` how long
their views are kept in memory.
"""

import random
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch.utils.data

from shards.augmented import ViewMaker, collate_made
from shards.batches import DrawBatch, ViewBatch, collate_draws, collate_views
from shards.blocks import Blocks
from shards.draws import draw_views
from shards.errors import IebenchError, UsageError
from shards.lanes import Segment, cut_lanes, default_lanes, interleaved, segments_between
from shards.mirror import prefetch
from shards.origin import origin_of
from shards.reader import View, read_objects
from shards.schema import DatasetIndex

# shards.cold_start imports PyArrow, which takes a moment to load.
if TYPE_CHECKING:
    from shards.cold_start import ColdObject, ColdStart

T = TypeVar("T")
PendingView = View | Future[View]
"""A view, or the future of a view that is being downloaded."""
PendingDraw = tuple[tuple[PendingView, ...], int]
"""The views of a draw before they are decoded, and the number of earlier draws of their object."""


@dataclass(frozen=True)
class DrawSettings:
    """Settings of a ``DrawStream``.

    Attributes:
        batch_size: Number of draws in a batch, over all processes.
        draws_per_object: Number of draws of each object in a pass; by default, and at most, as many as use no view
            twice.
        seed: Seed from which the order of shards, the draws and their order follow, together with the pass's number.
        buffer_objects: Number of objects, over all lanes, whose views are kept in memory to mix them.
        lanes: Number of lanes; by default the result of ``shards.lanes.default_lanes``.
        interleave: Number of shards that a lane reads in turn.
        views: Number of views in a draw; 2 for pairs.
        maker: Augmentation that makes the views of a draw from one stored view; None to draw stored views.
    """

    batch_size: int
    draws_per_object: int | None = None
    seed: int = 0
    buffer_objects: int = 4096
    lanes: int | None = None
    interleave: int = 4
    views: int = 2
    maker: ViewMaker | None = None


class DrawStream(torch.utils.data.IterableDataset):
    """An endless iterable of batches of draws for training.

    A pass reads the shards of a split once, in order, and takes ``draws_per_object`` draws of each object, which share
    no view. Each pass draws anew. One pair per object is an epoch in the sense of the SIE paper (arXiv 2302.10283), so
    a pass is ``draws_per_object`` epochs. The batches do not depend on the number of processes and loader workers. A
    stream can start at any step: set ``start_step`` before iterating.

    In a DataLoader, each worker yields its lanes' share of every batch, and the workers take turns. Errors are yielded
    instead of raised, because the DataLoader would wrap a raised error in a worker's traceback.
    ``shards.loader.draw_batches`` joins the shares and raises the errors.

    Args:
        folder: Folder of the dataset.
        index: Index of the dataset.
        split: ``train`` or ``val``.
        settings: Settings of the draws.
        rank: Rank of this process among those that train together; it gets its rows of every batch.
        ranks: Number of processes that train together.

    Attributes:
        start_step: Number of batches to skip before the first one.
        blocks: Shared memory that loader workers write images into; None to use ordinary memory.

    Raises:
        UsageError: The objects have too few views, or lanes, batch size and processes do not divide evenly.
    """

    def __init__(
        self,
        folder: Path,
        index: DatasetIndex,
        split: str,
        settings: DrawSettings,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        found = index.split(split)
        lanes = settings.lanes or default_lanes(settings.batch_size, found.objects)
        _require_division(settings.batch_size, lanes, ranks)
        self._views_per_draw = settings.views if settings.maker is None else 1
        most = index.views_per_object // self._views_per_draw
        if not most:
            have = index.views_per_object
            raise UsageError(
                f"the dataset has {have} view{'s' * (have > 1)} of each object, and this training draws "
                f"{settings.views} together; take a dataset with more, or a method that asks for fewer"
            )
        self._folder = folder
        self._index = index
        self._settings = settings
        self._draws_per_object = min(settings.draws_per_object or most, most)
        self._share = settings.batch_size // lanes
        self._buffer_size = max(2 * self._share, -(-settings.buffer_objects // lanes))
        self._lanes = _share_of(list(enumerate(cut_lanes(found.shards, lanes, settings.seed))), rank, ranks)
        self._size = index.image_size if settings.maker is None else settings.maker.size
        self.start_step = 0
        self.blocks: Blocks | None = None

    @property
    def lanes(self) -> int:
        """Number of lanes of this process, which is also the most loader workers that it can use."""
        return len(self._lanes)

    def part_bytes(self, workers: int) -> int:
        """Returns the size in bytes of the images that one of ``workers`` loader workers yields at most at a time."""
        lanes = max(len(_share_of(self._lanes, worker, workers)) for worker in range(workers))
        return self._settings.views * lanes * self._share * 3 * self._size**2

    def __iter__(self) -> Iterator[DrawBatch | IebenchError]:
        """Yields this process's share of each batch from ``start_step`` on; in a loader worker, the worker's share."""
        worker = torch.utils.data.get_worker_info()
        mine = _share_of(self._lanes, worker.id, worker.num_workers) if worker else self._lanes
        start = _cold_start(self._folder, self._index)
        try:
            streams = [self._draws_of(number, segments, start) for number, segments in mine]
            while streams:
                pending = [draw for stream in streams for draw in islice(stream, self._share)]
                yield self._collated(pending)
                if start is not None:
                    start.begin()
        except IebenchError as error:
            yield error

    def _collated(self, pending: "Sequence[PendingDraw]") -> DrawBatch:
        """Decodes draws into one batch, after waiting for their views."""
        maker = self._settings.maker
        if maker is None:
            drawn = [tuple(map(_wait_for, views)) for views, _ in pending]
            return collate_draws(drawn, self._index.image_size, self.blocks)
        sources = [(_wait_for(view), epoch) for (view,), epoch in pending]
        return collate_made(sources, self._settings.views, maker, self.blocks)

    def _draws_of(
        self, lane: int, segments: Sequence[Segment], start: "ColdStart | None"
    ) -> Iterator[PendingDraw]:
        """Yields the draws of a lane, pass after pass, from ``start_step`` on."""
        objects = sum(segment.objects for segment in segments)
        passed, skipped = divmod(self.start_step * self._share, objects * self._draws_per_object)
        while True:
            generator = random.Random(f"{self._settings.seed}/{passed}/{lane}")
            yield from self._pass(segments, objects, passed, skipped, generator, start)
            passed, skipped, start = passed + 1, 0, None

    def _pass(
        self,
        segments: Sequence[Segment],
        objects: int,
        passed: int,
        skipped: int,
        generator: random.Random,
        start: "ColdStart | None",
    ) -> Iterator[PendingDraw]:
        """Yields the draws of pass number ``passed`` over a lane, without the first ``skipped`` of them.

        Objects are read until the one to be drawn is there, and an object is released after its last draw. A lane
        with two objects b and c of four views, and two pairs of each, in its first pass::

            draw       reads   buffered     draws left
            b (3, 2)   c, b    c, b         c: 2, b: 1
            c (0, 1)           c, b         c: 1, b: 1
            c (2, 3)           b            b: 1         c had its last draw and is released
            b (1, 0)                                     so had b; the next pass begins

        If the first three draws are skipped, c has no draw left: it is read, but not buffered. b is buffered for one
        draw.
        """
        order = list(segments)
        generator.shuffle(order)
        reading = enumerate(interleaved(self._opened(order, start), self._settings.interleave))
        draws = draw_views(
            objects,
            self._index.views_per_object,
            self._views_per_draw,
            self._draws_per_object,
            self._buffer_size,
            self._share,
            generator,
        )
        left: dict[int, int] = {}
        buffered: dict[int, list[View] | ColdObject] = {}
        for draw in islice(draws, skipped):
            left[draw.position] = left.get(draw.position, self._draws_per_object) - 1
        for draw in draws:
            while draw.position not in buffered:
                position, views = next(reading)
                if left.setdefault(position, self._draws_per_object):
                    buffered[position] = views
                else:
                    del left[position]
            views = buffered[draw.position]
            epoch = (passed + 1) * self._draws_per_object - left[draw.position]
            yield tuple(views[number] for number in draw.views), epoch
            left[draw.position] -= 1
            if not left[draw.position]:
                del buffered[draw.position], left[draw.position]

    def _opened(
        self, segments: Sequence[Segment], start: "ColdStart | None"
    ) -> "Iterator[Iterator[list[View] | ColdObject]]":
        """Yields the objects of each segment; shards at an address are downloaded while earlier ones are read."""
        first = self._settings.interleave if start is not None else 0
        if start is not None:
            for segment in segments[: first + 1]:
                start.fetch(segment.shard)
            yield from (start.objects(segment) for segment in segments[:first])
        downloads = prefetch(self._folder, [segment.shard for segment in segments[first:]])
        for segment, _ in zip(segments[first:], downloads, strict=True):
            yield read_objects(self._folder, self._index, segment.shard, segment.start, segment.stop)


class ViewStream(torch.utils.data.IterableDataset):
    """An iterable of batches for evaluation, with every view of a split exactly once over all processes and workers.

    The objects of a split are divided evenly between processes and workers, whatever the sizes of its shards. Batches
    of several workers arrive in turn, so ``ViewBatch.start`` tells where in the split a batch belongs. Errors are
    yielded instead of raised, as by ``DrawStream``; ``shards.loader.view_batches`` raises them.

    Args:
        folder: Folder of the dataset.
        index: Index of the dataset.
        split: ``train`` or ``val``.
        batch_size: Largest number of views in a batch.
        rank: Rank of this process among those that evaluate together.
        ranks: Number of processes that evaluate together.

    Attributes:
        blocks: Shared memory that loader workers write images into; None to use ordinary memory.
    """

    def __init__(
        self, folder: Path, index: DatasetIndex, split: str, batch_size: int, rank: int = 0, ranks: int = 1
    ) -> None:
        self._folder = folder
        self._index = index
        self._objects = index.split(split).objects
        self._batch_size = batch_size
        self._ranks = ranks
        self.split = split
        self.rank = rank
        self.blocks: Blocks | None = None

    def part_bytes(self, workers: int) -> int:
        """Returns the size in bytes of the images that a loader worker yields at most at a time."""
        return self._batch_size * 3 * self._index.image_size**2

    @property
    def count(self) -> int:
        """Number of views of this process."""
        first, last = self._bounds(self.rank, self._ranks)
        return (last - first) * self._index.views_per_object

    def __iter__(self) -> Iterator[ViewBatch | IebenchError]:
        """Yields the batches of this process; in a loader worker, the worker's batches."""
        worker = torch.utils.data.get_worker_info()
        number, count = (worker.id, worker.num_workers) if worker else (0, 1)
        first, last = self._bounds(self.rank * count + number, self._ranks * count)
        start = _cold_start(self._folder, self._index)
        try:
            for batch in self.batches(self._views(first, last, start), first):
                yield batch
                if start is not None:
                    start.begin()
        except IebenchError as error:
            yield error

    def batches(self, views: Iterator[View], first: int) -> Iterator[ViewBatch]:
        """Collates all views of consecutive objects into batches; ``first`` is the position of the first object."""
        start = first * self._index.views_per_object
        while batch := list(islice(views, self._batch_size)):
            yield collate_views(batch, self._index.image_size, start, self.blocks)
            start += len(batch)

    def _bounds(self, number: int, count: int) -> tuple[int, int]:
        return self._objects * number // count, self._objects * (number + 1) // count

    def _views(self, first: int, last: int, start: "ColdStart | None") -> Iterator[View]:
        segments = list(segments_between(self._index.split(self.split).shards, first, last))
        if start is not None:
            for segment in segments[:2]:
                start.fetch(segment.shard)
            for segment in segments[:1]:
                yield from chain.from_iterable(start.views(segment))
            segments = segments[1:]
        downloads = prefetch(self._folder, [segment.shard for segment in segments])
        for segment, _ in zip(segments, downloads, strict=True):
            yield from chain.from_iterable(
                read_objects(self._folder, self._index, segment.shard, segment.start, segment.stop)
            )


def _cold_start(folder: Path, index: DatasetIndex) -> "ColdStart | None":
    """Creates a ``ColdStart`` for a dataset at an address; None if the dataset is local or has no table of views."""
    if index.latents_table is None or origin_of(folder) is None:
        return None
    from shards.cold_start import ColdStart

    return ColdStart(folder, index)


def _wait_for(view: PendingView) -> View:
    return view.result() if isinstance(view, Future) else view


def _require_division(batch_size: int, lanes: int, ranks: int) -> None:
    if batch_size % lanes:
        raise UsageError(f"training.batch_size = {batch_size} cannot be shared out to {lanes} lanes evenly")
    if lanes % ranks:
        fitting = [number for number in range(ranks, batch_size + 1, ranks) if batch_size % number == 0]
        hint = f"set training.lanes to {fitting[0]}" if fitting else "choose a batch size that they divide"
        raise UsageError(
            f"{lanes} lanes of a batch of {batch_size} draws cannot be dealt to {ranks} processes evenly; {hint}"
        )


def _share_of(items: Sequence[T], number: int, count: int) -> Sequence[T]:
    """Returns share number ``number`` of ``count`` even shares of consecutive items."""
    return items[len(items) * number // count : len(items) * (number + 1) // count]
