"""What is in a dataset, whether it stands here or is a mirror."""

from pathlib import Path

from shards.reader import read_views
from shards.schema import ShardInfo, open_dataset


def views(folder: Path) -> list[tuple]:
    """Every view's metadata and JPEG."""
    index = open_dataset(folder)
    return [(view.metadata, view.jpeg) for split in index.splits for view in read_views(folder, index, split)]


def first_shard(folder: Path) -> ShardInfo:
    """A shard of several."""
    return open_dataset(folder).split("train").shards[0]
