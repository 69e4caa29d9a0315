"""Lanes: the parts of a split that are read apart, each giving its fixed share of every batch.

A batch is the shares of all lanes side by side. So the order of batches is one and the same however many processes
and loader workers the lanes are dealt to, and no process ever waits for another's shards: a lane has no end, it goes
from pass to pass by itself.

Two lanes, three objects a, b, c in two shards (a b | c), batches of two draws, one draw of each object in a pass::

    lane 0 reads a            lane 1 reads b, c          (half of 3 objects, rounded down; the shard "a b" is
    pass 1: a                 pass 1: b  c                read by both lanes, each its own part)
    pass 2: a                 pass 2: c  b
    batches: [a b] [a c] [a c] [a b] ...

With one process both lanes are its own; with two, each reads one lane and gives its half of the same batches. Lanes
differ by one object at most, so with 32 objects or more each object is drawn nearly as often as any other.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from shards.errors import UsageError
from shards.schema import ShardInfo

MOST_LANES = 64
FEWEST_OBJECTS = 32
"""Of a lane, by default: lanes may differ by one object, whose weight this bounds to 3 %."""

T = TypeVar("T")


@dataclass(frozen=True)
class Segment:
    """Objects ``start`` to ``stop`` of a shard."""

    shard: ShardInfo
    start: int
    stop: int

    @property
    def objects(self) -> int:
        """How many objects it holds."""
        return self.stop - self.start


def default_lanes(batch_size: int, objects: int) -> int:
    """The largest divisor of the batch size that is at most 64 and leaves a lane 32 objects.

    Args:
        batch_size: over all processes.
        objects: Number of objects of the split.
    """
    most = max(1, min(MOST_LANES, objects // FEWEST_OBJECTS))
    return max(number for number in range(1, most + 1) if batch_size % number == 0)


def cut_lanes(shards: Sequence[ShardInfo], lanes: int, seed: int) -> list[tuple[Segment, ...]]:
    """Deals the objects of shards, which are shuffled, out to lanes that differ by one object at most.

    A shard that two lanes share is read by both, each its own part.

    Raises:
        UsageError: there are more lanes than objects.
    """
    objects = sum(shard.objects for shard in shards)
    if lanes > objects:
        raise UsageError(f"{objects} objects cannot be dealt to {lanes} lanes; lower training.lanes")
    shuffled = list(shards)
    random.Random(f"{seed}/shards").shuffle(shuffled)
    dealt: list[tuple[Segment, ...]] = []
    for lane in range(lanes):
        first, last = objects * lane // lanes, objects * (lane + 1) // lanes
        dealt.append(tuple(segments_between(shuffled, first, last)))
    return dealt


def segments_between(shards: Sequence[ShardInfo], first: int, last: int) -> Iterator[Segment]:
    """The parts of shards that hold the objects from ``first`` up to but not ``last``, counted over all shards."""
    begin = 0
    for shard in shards:
        start, stop = max(first - begin, 0), min(last - begin, shard.objects)
        if start < stop:
            yield Segment(shard, start, stop)
        begin += shard.objects


def interleaved(sources: Iterable[Iterator[T]], width: int) -> Iterator[T]:
    """Takes one from each of ``width`` sources in turn; where one ends, the next in line takes its place."""
    waiting = iter(sources)
    running = list(islice(waiting, width))
    while running:
        for place, source in enumerate(running):
            try:
                yield next(source)
            except StopIteration:
                running[place : place + 1] = islice(waiting, 1)
                break
