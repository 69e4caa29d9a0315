"""Decides which views are drawn together, and in which order, without reading any shard.

Three objects of four views, two pairs of each, two objects buffered, rests of two draws
(``draw_views(3, 4, 2, 2, 2, 2, Random(0))``)::

    draw        taken up   ready   resting after it     pairs left after it
    0: (0, 2)   0, 1       0, 1    0                    0: one, 1: two
    1: (2, 0)              1       1 (0 is ready)       0: one, 1: one
    0: (3, 1)              0       1                    1: one             object 0 is used up
    2: (0, 1)   2          2       2 (1 is ready)       1: one, 2: one
    1: (3, 1)              1       2                    2: one             object 1 is used up
    2: (2, 3)              none    none                 none               2 had to be drawn without its rest

An object that was just drawn rests, so that a batch shows different objects. When an object is used up, the next one is
taken up.
"""

import random
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Draw(NamedTuple):
    """A draw: the numbers of views of one object that are drawn together.

    Attributes:
        position: Position of the object in the order in which the objects of the pass are read.
        views: Numbers of the views.
    """

    position: int
    views: tuple[int, ...]


def draw_views(
    objects: int,
    views: int,
    views_per_draw: int,
    draws_per_object: int,
    buffer_size: int,
    apart: int,
    generator: random.Random,
) -> Iterator[Draw]:
    """Yields the draws of one pass over objects that are read one after the other.

    At most ``buffer_size`` objects are buffered at a time. Each draw takes two random candidates among the buffered
    objects that do not rest, and draws from the one with more draws left. So all objects run out at about the same
    time, and the end of a pass is as mixed as its middle. After a draw, an object rests while ``apart - 1`` others are
    drawn.

    Args:
        objects: Number of objects in the pass.
        views: Number of views of each object.
        views_per_draw: Number of views that are drawn together; 2 for pairs.
        draws_per_object: Number of draws of each object, which share no view; at most ``views // views_per_draw``.
        buffer_size: Largest number of objects that are buffered at a time.
        apart: Number of consecutive draws that are of different objects, if enough objects are buffered.
        generator: Generator of all random choices.

    Yields:
        ``objects * draws_per_object`` draws. Objects are taken up in the order 0, 1, 2, ...
    """
    left: dict[int, list[tuple[int, ...]]] = {}
    ready: list[int] = []
    resting: deque[int] = deque()
    taken_up = 0
    for number in range(objects * draws_per_object):
        # The buffer grows with the draws, so that the first draws need only a few objects to be read.
        while taken_up < objects and len(left) < min(buffer_size, 2 * apart + number):
            order = generator.sample(range(views), views_per_draw * draws_per_object)
            left[taken_up] = list(
                zip(*(order[start::views_per_draw] for start in range(views_per_draw)), strict=True)
            )
            ready.append(taken_up)
            taken_up += 1
        position = _take(ready, left, generator) if ready else resting.popleft()
        yield Draw(position, left[position].pop())
        if left[position]:
            resting.append(position)
        else:
            del left[position]
        if len(resting) >= apart:
            ready.append(resting.popleft())


def _take(ready: list[int], left: dict[int, list[tuple[int, ...]]], generator: random.Random) -> int:
    """Picks two of ``ready`` at random, and removes and returns the one with more draws left."""
    count = len(ready)
    first, second = int(generator.random() * count), int(generator.random() * count)
    chosen = first if len(left[ready[first]]) >= len(left[ready[second]]) else second
    ready[chosen], ready[-1] = ready[-1], ready[chosen]
    return ready.pop()
