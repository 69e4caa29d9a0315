"""Batches of pairs of views, for training."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.utils.data

from shards.errors import IebenchError
from shards.reader import View, read_shard
from shards.schema import DatasetIndex, ShardInfo


@dataclass(frozen=True)
class Pair:
    """A batch of pairs of views of one object each.

    Attributes:
        views: two (batch, 3, height, width) uint8 tensors.
        latents: two (batch, number of latents) float64 tensors.
        labels: (batch,) int64.
    """

    views: tuple[torch.Tensor, torch.Tensor]
    latents: tuple[torch.Tensor, torch.Tensor]
    labels: torch.Tensor

    def pin_memory(self) -> "Pair":
        """The same batch in page-locked memory, for the DataLoader."""
        first, second = (view.pin_memory() for view in self.views)
        return Pair((first, second), self.latents, self.labels)


class PairStream(torch.utils.data.IterableDataset):
    """Batches of pairs of views of one object, drawn anew each pass from (seed, pass).

    A pass reads every byte of a split once. Each object gives ``pairs_per_object`` disjoint pairs of its
    views; a shuffle buffer mixes the pairs of many objects. One pair per object is an epoch in the sense of
    the SIE paper, so a pass holds ``pairs_per_object`` epochs. The last incomplete batch is dropped.

    An error is yielded rather than raised, so that it crosses the DataLoader's process boundary as the one
    sentence it is; ``raise_errors`` turns it back.

    Args:
        folder: the dataset's folder.
        index: its index.
        split: ``train`` or ``val``.
        batch_size: pairs per batch.
        pairs_per_object: at most half the views; ``None`` uses each view once a pass.
        seed: with the pass, decides shards, pairs and their order.
        buffer: pairs held for shuffling.
    """

    def __init__(
        self,
        folder: Path,
        index: DatasetIndex,
        split: str,
        batch_size: int,
        pairs_per_object: int | None = None,
        seed: int = 0,
        buffer: int = 4096,
    ) -> None:
        self._folder = folder
        self._shards = index.split(split).shards
        self._batch_size = batch_size
        self._pairs_per_object = pairs_per_object or index.views_per_object // 2
        self._seed = seed
        self._buffer = buffer
        self.start_pass = 0

    def __iter__(self) -> Iterator[Pair | IebenchError]:
        """One pass: ``start_pass`` says which."""
        worker = torch.utils.data.get_worker_info()
        part, parts = (worker.id, worker.num_workers) if worker else (0, 1)
        generator = random.Random(f"{self._seed}/{self.start_pass}")
        shards = list(self._shards)
        generator.shuffle(shards)
        generator.seed(f"{self._seed}/{self.start_pass}/{part}")
        try:
            pairs = self._pairs(shards[part::parts], generator)
            batch: list[tuple[View, View]] = []
            for pair in _shuffled(pairs, self._buffer, generator):
                batch.append(pair)
                if len(batch) == self._batch_size:
                    yield _collate(batch)
                    batch = []
        except IebenchError as error:
            yield error

    def _pairs(self, shards: list[ShardInfo], generator: random.Random) -> Iterator[tuple[View, View]]:
        for shard in shards:
            for _, group in groupby(
                read_shard(self._folder, shard, passes=()),  # the buffer holds thousands of views
                key=lambda view: (view.metadata.synset, view.metadata.object),
            ):
                views = list(group)
                generator.shuffle(views)
                count = min(self._pairs_per_object, len(views) // 2)
                yield from zip(views[:count], views[count : 2 * count], strict=True)


def raise_errors(batches: Iterable[Pair | IebenchError]) -> Iterator[Pair]:
    """The batches of a ``PairStream``; an error among them is raised.

    Raises:
        IebenchError: as the stream met it.
    """
    for batch in batches:
        if isinstance(batch, IebenchError):
            raise batch
        yield batch


def _shuffled(items: Iterable[Any], size: int, generator: random.Random) -> Iterator[Any]:
    buffer: list[Any] = []
    for item in items:
        if len(buffer) < size:
            buffer.append(item)
            continue
        place = generator.randrange(size)
        item, buffer[place] = buffer[place], item
        yield item
    generator.shuffle(buffer)
    yield from buffer


def _collate(batch: list[tuple[View, View]]) -> Pair:
    sides = list(zip(*batch, strict=True))
    first, second = (view_tensor(side) for side in sides)
    latents = [torch.tensor([view.metadata.latents for view in side], dtype=torch.float64) for side in sides]
    labels = torch.tensor([view.metadata.label for view in sides[0]])
    return Pair((first, second), (latents[0], latents[1]), labels)


def view_tensor(views: Iterable[View]) -> torch.Tensor:
    """(number of views, 3, height, width) uint8."""
    return torch.from_numpy(np.stack([view.pixels() for view in views])).permute(0, 3, 1, 2).contiguous()
