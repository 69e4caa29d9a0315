"""Checks the index of a dataset, without reading a shard."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from shards.schema import INDEX_NAME, DatasetIndex
from shards.verify.problem import Problem


def index_problems(folder: Path, index: DatasetIndex) -> Iterator[Problem]:
    """Yields problems of the index: shards that it lacks or lists twice, classes out of order, and wrong totals."""
    named = Counter(shard.name for split in index.splits.values() for shard in split.shards)
    for path in sorted(folder.glob("*.tar")):
        if path.name not in named:
            yield Problem(path.name, "", f"{INDEX_NAME} does not know it")
    for name, count in named.items():
        if count > 1:
            yield Problem(name, "", f"{INDEX_NAME} names it {count} times")
    synsets = [item.synset for item in index.classes]
    if synsets != sorted(set(synsets)) or [item.label for item in index.classes] != list(range(len(synsets))):
        yield Problem(INDEX_NAME, "", "its classes are not the sorted synsets with the labels 0, 1, 2, ...")
    for name, split in index.splits.items():
        for total in ("objects", "views"):
            if sum(getattr(shard, total) for shard in split.shards) != getattr(split, total):
                yield Problem(INDEX_NAME, "", f"the {total} of the {name} shards do not add up to its total")
