"""Divides the objects of a split into lanes. Each lane is read independently and gives a fixed share of every batch.

A batch consists of the shares of all lanes, side by side. A lane has no end: after a pass over its objects it begins
the next one by itself. So the batches do not depend on how many processes and loader workers share the lanes, and no
process waits for another.

Two lanes, three objects a, b, c in two shards (a b | c), batches of two draws, one draw of each object in a pass::

    lane 0 has object a          pass 1 | pass 2 | pass 3 | pass 4
                                 a      | a      | a      | a
    lane 1 has objects b and c   pass 1          | pass 2
                                 b        c      | c        b
    batches                      [a b]    [a c]    [a c]    [a b]

The shard (a b) is read by both lanes, and each takes its own object. A single process reads both lanes; of two
processes, each reads one lane and gets its half of the same batches.

Lanes differ by at most one object. So a is drawn twice as often as b here, but with lanes of 32 objects or more, an
object of a smaller lane is drawn at most 1/32 (3.1 %) more often than one of a larger lane.
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
"""Fewest objects of a lane by default; with them, no object is drawn 4 % more often than another."""

T = TypeVar("T")


@dataclass(frozen=True)
class Segment:
    """The objects of a shard from position ``start`` up to, but not including, ``stop``."""

    shard: ShardInfo
    start: int
    stop: int

    @property
    def objects(self) -> int:
        """Number of objects in the segment."""
        return self.stop - self.start


def default_lanes(batch_size: int, objects: int) -> int:
    """Returns the largest number of lanes up to 64 that divides the batch size and leaves each lane 32 objects."""
    most = max(1, min(MOST_LANES, objects // FEWEST_OBJECTS))
    return max(number for number in range(1, most + 1) if batch_size % number == 0)


def cut_lanes(shards: Sequence[ShardInfo], lanes: int, seed: int) -> list[tuple[Segment, ...]]:
    """Shuffles the shards and divides their objects into lanes whose numbers of objects differ by at most one.

    A shard may be cut in two: both lanes read it, and each takes its own segment.

    Raises:
        UsageError: There are more lanes than objects.
    """
    objects = sum(shard.objects for shard in shards)
    if lanes > objects:
        raise UsageError(f"{objects} objects cannot be dealt to {lanes} lanes; lower training.lanes")
    shuffled = list(shards)
    random.Random(f"{seed}/shards").shuffle(shuffled)
    return [
        tuple(segments_between(shuffled, objects * lane // lanes, objects * (lane + 1) // lanes))
        for lane in range(lanes)
    ]


def segments_between(shards: Sequence[ShardInfo], first: int, last: int) -> Iterator[Segment]:
    """Yields the segments that hold the objects ``first`` to ``last - 1``, counted over all shards."""
    begin = 0
    for shard in shards:
        start, stop = max(first - begin, 0), min(last - begin, shard.objects)
        if start < stop:
            yield Segment(shard, start, stop)
        begin += shard.objects


def interleaved(sources: Iterable[Iterator[T]], width: int) -> Iterator[T]:
    """Yields one item from each of ``width`` sources in turn.

    When a source ends, the next one takes its place and a new round begins: the sources 1 2 3 | 4 | 5 6 with width 2
    give 1 4, 2, 3 5, 6.
    """
    waiting = iter(sources)
    running = list(islice(waiting, width))
    while running:
        for position, source in enumerate(running):
            try:
                yield next(source)
            except StopIteration:
                running[position : position + 1] = islice(waiting, 1)
                break
