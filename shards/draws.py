"""Which views of which object come together, and when: decided without reading anything.

Three objects of four views, pairs, two objects held, two draws apart (``draw_views(3, 4, 2, 2, 2, 2, Random(0))``)::

    draw          takes up   held   rests after it   views left
    0: (0, 2)     0, 1       0 1    0                0: one pair, 1: two pairs
    1: (2, 0)                0 1    0 1, then 0      0: one pair, 1: one pair
                                    is ready again
    0: (3, 1)                1      1 is ready       object 0 is used up and let go of
    2: (0, 1)     2          1 2    2                1: one pair, 2: one pair
    1: (3, 1)                2      2 is ready       object 1 is used up
    2: (2, 3)                       none             the pass ends

An object that was just drawn rests, so that a batch shows different objects; what is used up makes room for the next.
"""

import random
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple


class Draw(NamedTuple):
    """Views of one object that are drawn together: of the object that is read as number ``place``, these views."""

    place: int
    views: tuple[int, ...]


def draw_views(
    objects: int, views: int, together: int, draws: int, held: int, apart: int, generator: random.Random
) -> Iterator[Draw]:
    """The draws of one pass over objects that are read one after the other.

    So many objects are held at a time, and each draw is of a random one of them, of two candidates that which has more
    draws left: so they run out together, and the end of a pass is as mixed as its middle. An object that was drawn
    rests until ``apart - 1`` others were.

    Args:
        objects: Number of objects in the pass.
        views: Number of views of each object.
        together: Number of views that are drawn together: 2 for pairs.
        draws: disjoint draws of each object; at most ``views // together``.
        held: objects held at most.
        apart: draws among which, where there are objects enough, all are of different objects.
        generator: decides all.

    Yields:
        objects * draws draws. The places they name rise one by one as objects are taken up.
    """
    left: dict[int, list[tuple[int, ...]]] = {}
    ready: list[int] = []
    resting: deque[int] = deque()
    taken_up = 0
    for number in range(objects * draws):
        # Held objects grow in number with the draws, so that the first ones do not wait for all to be read.
        while taken_up < objects and len(left) < min(held, 2 * apart + number):
            order = generator.sample(range(views), together * draws)
            left[taken_up] = list(zip(*(order[start::together] for start in range(together)), strict=True))
            ready.append(taken_up)
            taken_up += 1
        place = _take(ready, left, generator) if ready else resting.popleft()
        yield Draw(place, left[place].pop())
        if left[place]:
            resting.append(place)
        else:
            del left[place]
        if len(resting) >= apart:
            ready.append(resting.popleft())


def _take(ready: list[int], left: dict[int, list[tuple[int, ...]]], generator: random.Random) -> int:
    """Removes one of ``ready``: of two at random, that of which more draws are left."""
    count = len(ready)
    first, second = int(generator.random() * count), int(generator.random() * count)
    chosen = first if len(left[ready[first]]) >= len(left[ready[second]]) else second
    ready[chosen], ready[-1] = ready[-1], ready[chosen]
    return ready.pop()
