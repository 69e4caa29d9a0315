"""Lanes: every object in exactly one, whatever the shards."""

import pytest

from shards.errors import UsageError
from shards.lanes import Segment, cut_lanes, default_lanes, interleaved, segments_between
from shards.schema import ShardInfo


def shards_of(*objects):
    return [
        ShardInfo(name=f"train-{number:06d}.tar", bytes=1, sha256="0" * 64, objects=count, views=count)
        for number, count in enumerate(objects)
    ]


@pytest.mark.parametrize("objects", [(10,), (1, 9, 2), (7, 7, 7, 7), (3, 0, 50)])
@pytest.mark.parametrize("lanes", [1, 2, 3, 8])
def test_every_object_is_in_one_lane_and_lanes_differ_by_one_object_at_most(objects, lanes):
    shards = shards_of(*objects)
    dealt = cut_lanes(shards, lanes, seed=0)
    seen = [
        (segment.shard.name, place)
        for lane in dealt
        for segment in lane
        for place in range(segment.start, segment.stop)
    ]
    assert sorted(seen) == [(shard.name, place) for shard in shards for place in range(shard.objects)]
    sizes = [sum(segment.objects for segment in lane) for lane in dealt]
    assert max(sizes) - min(sizes) <= 1


def test_the_seed_decides_which_shards_a_lane_has():
    shards = shards_of(*[3] * 20)
    assert cut_lanes(shards, 4, 1) == cut_lanes(shards, 4, 1) != cut_lanes(shards, 4, 2)


def test_more_lanes_than_objects_are_refused():
    with pytest.raises(UsageError, match="5 objects cannot be dealt to 6 lanes"):
        cut_lanes(shards_of(2, 3), 6, 0)


def test_a_stretch_of_objects_is_found_in_its_shards():
    first, second, third = shards_of(4, 5, 6)
    assert list(segments_between([first, second, third], 3, 11)) == [
        Segment(first, 3, 4),
        Segment(second, 0, 5),
        Segment(third, 0, 2),
    ]


@pytest.mark.parametrize(
    ("batch_size", "objects", "lanes"),
    [(1024, 42_000, 64), (1023, 42_000, 33), (32, 277, 8), (4, 18, 1), (97, 42_000, 1), (100, 42_000, 50)],
)
def test_lanes_divide_the_batch_and_are_not_too_small(batch_size, objects, lanes):
    assert default_lanes(batch_size, objects) == lanes


def test_interleaving_takes_from_some_in_turn_and_loses_nothing():
    sources = ["aaa", "bb", "cccc", "d"]
    found = list(interleaved([iter(source) for source in sources], 2))
    assert found[:4] == ["a", "b", "a", "b"]
    assert sorted(found) == sorted("".join(sources))
    assert list(interleaved([], 3)) == []
