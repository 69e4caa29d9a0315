"""Counts the objects, views, latents and bytes of a dataset, by class and split."""

import contextlib
from collections import Counter
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow

from shards.images import ChannelOrder
from shards.mirror import local_shard
from shards.parallel import run_parallel
from shards.passes import Pass
from shards.pixels import Channels
from shards.printable import printable
from shards.schema import DatasetIndex, Record, ShardInfo
from shards.table import open_table, rows_of_shard
from shards.variants import Latent, Variant

BINS = 20
_BLOCKS = " ▁▂▃▄▅▆▇█"


class Count(Record):
    """Number of objects and views."""

    objects: int
    views: int


class ClassCounts(Record):
    """A class, with the number of its objects and views in each split."""

    label: int
    synset: str
    name: str
    splits: dict[str, Count]


class SplitCounts(Record):
    """Numbers of objects, views and shards of a split, and the size of its shards in bytes."""

    objects: int
    views: int
    shards: int
    bytes: int


class Histogram(Record):
    """The histogram of a latent's values.

    Attributes:
        name: Name of the latent.
        unit: Unit of the latent and of the edges.
        edges: Edges of the bins; one more than there are counts.
        counts: Number of values in each bin.
        outside: Number of values below the first edge or above the last, or that are not finite.
    """

    name: str
    unit: str
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    outside: int


class Statistics(Record):
    """The statistics of a dataset, as ``iebench stats`` shows them."""

    variant: Variant
    views_per_object: int
    image_size: int
    channel_order: ChannelOrder
    channel_mean: Channels
    channel_std: Channels
    splits: dict[str, SplitCounts]
    classes: tuple[ClassCounts, ...]
    latents: tuple[Histogram, ...]

    def text(self) -> str:
        """Returns the statistics as tables of printable text."""
        tables = (self._classes_text(), self._latents_text(), self._rest_text())
        return "\n\n".join("\n".join(map(printable, table.split("\n"))) for table in tables)

    def _classes_text(self) -> str:
        splits = list(self.splits)
        width = max([len("class"), *(len(item.name) for item in self.classes)])
        synsets = max([len("synset"), *(len(item.synset) for item in self.classes)])
        head = "".join(f"{f'{split} objects':>16}{f'{split} views':>16}" for split in splits)
        lines = [f"{'label':>5}  {'synset':<{synsets}}  {'class':<{width}}{head}"]
        for item in self.classes:
            counts = "".join(f"{count.objects:>16,}{count.views:>16,}" for count in item.splits.values())
            lines.append(f"{item.label:>5}  {item.synset:<{synsets}}  {item.name:<{width}}{counts}")
        total = "".join(f"{split.objects:>16,}{split.views:>16,}" for split in self.splits.values())
        lines.append(f"{'':>5}  {'all':<{synsets}}  {'':<{width}}{total}")
        return "\n".join(lines)

    def _latents_text(self) -> str:
        lines = []
        for item in self.latents:
            outside = f"  {item.outside:,} outside" if item.outside else ""
            lines.append(
                f"{item.name:<14} {item.edges[0]:>8.4g} |{_bars(item.counts)}| {item.edges[-1]:<7.4g} "
                f"{item.unit}{outside}"
            )
        return "\n".join(lines)

    def _rest_text(self) -> str:
        sizes = ", ".join(
            f"{name} {split.bytes:,} bytes in {split.shards:,} shards" for name, split in self.splits.items()
        )
        return (
            f"variant {self.variant}, {self.views_per_object} views an object, {self.image_size} px, "
            f"channels stored as {self.channel_order}\n"
            f"channel mean {' '.join(f'{value:.4f}' for value in self.channel_mean)}, "
            f"deviation {' '.join(f'{value:.4f}' for value in self.channel_std)}\n{sizes}"
        )


@dataclass(frozen=True)
class _Tally:
    """The counts of one shard: objects and views by synset, and values of latents.

    ``counts`` is the (latents, bins + 1) histogram of each latent; its last column counts values outside.
    """

    split: str
    objects: Counter[str]
    views: Counter[str]
    counts: np.ndarray


def dataset_statistics(
    folder: Path, index: DatasetIndex, workers: int = 1, advance: Callable[[int], object] = lambda views: None
) -> Statistics:
    """Computes the statistics from ``latents.parquet``; without it, from the samples. Images are not read.

    Args:
        folder: Folder of the dataset.
        index: Index of the dataset.
        workers: Number of processes, each of which reads one shard at a time; one is enough if there is a table.
        advance: Function that is called with the number of views of each finished shard.

    Raises:
        IebenchError: A shard is broken, or the table does not fit the dataset.
    """
    shards = index.all_shards()
    objects = {split: Counter[str]() for split in index.splits}
    views = {split: Counter[str]() for split in index.splits}
    counts = np.zeros((len(index.latents), BINS + 1), np.int64)
    table = open_table(folder, index) if index.latents_table is not None else None
    if table is not None:
        results: Generator[_Tally, None, None] = (
            _tally(split, table.rows_of(shard), index.latents) for split, shard in shards
        )
    else:
        tally_of_shard = partial(_tally_of_shard, folder, index.latents, index.passes)
        results = run_parallel(tally_of_shard, shards, workers)
    with contextlib.closing(results) as tallies:
        for tally in tallies:
            objects[tally.split] += tally.objects
            views[tally.split] += tally.views
            counts += tally.counts
            advance(tally.views.total())
    return Statistics(
        variant=index.variant,
        views_per_object=index.views_per_object,
        image_size=index.image_size,
        channel_order=index.channel_order,
        channel_mean=index.channel_mean,
        channel_std=index.channel_std,
        splits={
            name: SplitCounts(
                objects=objects[name].total(),
                views=views[name].total(),
                shards=len(split.shards),
                bytes=sum(shard.bytes for shard in split.shards),
            )
            for name, split in index.splits.items()
        },
        classes=tuple(
            ClassCounts(
                label=item.label,
                synset=item.synset,
                name=item.name,
                splits={
                    split: Count(objects=objects[split][item.synset], views=views[split][item.synset])
                    for split in index.splits
                },
            )
            for item in index.classes
        ),
        latents=tuple(
            Histogram(
                name=latent.name,
                unit=latent.unit,
                edges=tuple(_edges(latent).tolist()),
                counts=tuple(row[:-1].tolist()),
                outside=int(row[-1]),
            )
            for latent, row in zip(index.latents, counts, strict=True)
        ),
    )


def _tally_of_shard(
    folder: Path, latents: tuple[Latent, ...], passes: tuple[Pass, ...], job: tuple[str, ShardInfo]
) -> _Tally:
    split, shard = job
    return _tally(split, rows_of_shard(local_shard(folder, shard), split, latents, passes), latents)


def _tally(split: str, rows: pyarrow.Table, latents: tuple[Latent, ...]) -> _Tally:
    synsets = rows["synset"].to_pylist()
    objects = Counter(synset for synset, _ in set(zip(synsets, rows["object"].to_pylist(), strict=True)))
    counts = np.zeros((len(latents), BINS + 1), np.int64)
    for row, latent in zip(counts, latents, strict=True):
        values = rows[latent.name].to_numpy()
        row[:-1], _ = np.histogram(values[np.isfinite(values)], _edges(latent))
        row[-1] = len(values) - row[:-1].sum()
    return _Tally(split, objects, Counter(synsets), counts)


def _edges(latent: Latent) -> np.ndarray:
    """Returns the edges of equal bins, from the lowest to the highest value of the latent."""
    return np.linspace(latent.intervals[0][0], latent.intervals[-1][1], BINS + 1)


def _bars(counts: tuple[int, ...]) -> str:
    """Draws a histogram with one character for each count. Only a count of zero is blank."""
    highest = max(counts) or 1
    return "".join(_BLOCKS[-(-count * (len(_BLOCKS) - 1) // highest)] for count in counts)
