"""Reads objects from all over a split."""

from collections.abc import Iterator
from pathlib import Path

from shards.lanes import segments_between
from shards.reader import View, read_objects
from shards.schema import DatasetIndex


def read_spread_objects(
    folder: Path, index: DatasetIndex, split: str, most: int, runs: int
) -> Iterator[list[View]]:
    """Reads the views of at most ``most`` objects, in runs of consecutive ones; images are not decoded.

    The runs are spread over the split, because its objects may stand in the order of classes.

    Raises:
        IebenchError: A shard cannot be read.
    """
    found = index.split(split)
    for first, last in even_ranges(found.objects, most, min(runs, most)):
        for segment in segments_between(found.shards, first, last):
            yield from read_objects(folder, index, segment.shard, segment.start, segment.stop)


def even_ranges(count: int, wanted: int, runs: int) -> list[tuple[int, int]]:
    """Chooses ``wanted`` of ``count`` positions as evenly spaced ranges (first, last + 1)."""
    if count <= wanted:
        return [(0, count)]
    length = wanted // runs
    return [(start, start + length) for start in (number * count // runs for number in range(runs))]
