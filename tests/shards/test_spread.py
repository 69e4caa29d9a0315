"""Objects from all over a split."""

import pytest

from shards.spread import even_ranges


@pytest.mark.parametrize(("count", "wanted", "runs"), [(5, 8, 4), (100, 8, 4), (41_920, 512, 64), (9, 8, 4)])
def test_objects_come_from_all_over_a_split_and_never_twice(count: int, wanted: int, runs: int):
    found = [number for first, last in even_ranges(count, wanted, runs) for number in range(first, last)]
    assert found == sorted(set(found))
    assert len(found) == min(count, wanted)
    assert found[-1] >= count * (runs - 1) // runs - 1
    assert found[-1] < count
