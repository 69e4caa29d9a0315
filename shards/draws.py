"""Which pair of views of which object comes when: decided without reading anything."""

import random
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Draw(NamedTuple):
    """A pair of views: of the object that is read as number ``place``, its views ``first`` and ``second``."""

    place: int
    first: int
    second: int


def draw_pairs(
    objects: int, views: int, pairs: int, held: int, apart: int, generator: random.Random
) -> Iterator[Draw]:
    """The pairs of one pass over objects that are read one after the other.

    So many objects are held at a time, and each draw is a random one of them, of two candidates that which has more
    pairs left: so they run out together, and the end of a pass is as mixed as its middle. An object that was drawn
    rests until ``apart - 1`` others were.

    Args:
        objects: Number of objects in the pass.
        views: Number of views of each object.
        pairs: disjoint pairs drawn of each object, at most half its views.
        held: objects held at most.
        apart: draws among which, where there are objects enough, all are of different objects.
        generator: decides all.

    Yields:
        objects * pairs draws. The places they name rise one by one as objects are taken up.
    """
    left: dict[int, list[tuple[int, int]]] = {}
    ready: list[int] = []
    resting: deque[int] = deque()
    taken_up = 0
    for number in range(objects * pairs):
        # Held objects grow in number with the draws, so that the first pairs do not wait for all to be read.
        while taken_up < objects and len(left) < min(held, 2 * apart + number):
            order = generator.sample(range(views), 2 * pairs)
            left[taken_up] = list(zip(order[::2], order[1::2], strict=True))
            ready.append(taken_up)
            taken_up += 1
        place = _take(ready, left, generator) if ready else resting.popleft()
        yield Draw(place, *left[place].pop())
        if left[place]:
            resting.append(place)
        else:
            del left[place]
        if len(resting) >= apart:
            ready.append(resting.popleft())


def _take(ready: list[int], left: dict[int, list[tuple[int, int]]], generator: random.Random) -> int:
    """Removes one of ``ready``: of two at random, that of which more pairs are left."""
    count = len(ready)
    first, second = int(generator.random() * count), int(generator.random() * count)
    chosen = first if len(left[ready[first]]) >= len(left[ready[second]]) else second
    ready[chosen], ready[-1] = ready[-1], ready[chosen]
    return ready.pop()
