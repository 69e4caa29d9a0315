"""Reads single views of a dataset in any order, for notebooks and for other people's training code.

To read a whole dataset fast, use a stream (``shards.stream``).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils.data
from PIL import Image

from shards.errors import UsageError
from shards.lists import Name
from shards.mirror import dataset_folder
from shards.reader import View
from shards.rows import TableRows
from shards.schema import ShardInfo, open_dataset
from shards.view_bytes import read_view


class Item(NamedTuple):
    """One view in a form that torch's ``default_collate`` accepts.

    Attributes:
        image: (3, height, width) uint8 tensor, RGB; or the value that the dataset's ``transform`` returned.
        latents: (number of latents,) float64 tensor, in the order of ``Dataset.latent_names``.
        label: Label of the class.
    """

    image: Any
    latents: torch.Tensor
    label: int


class Dataset(torch.utils.data.Dataset[Item]):
    """A map-style dataset of views, which are found by their position or by their name.

    Each view is read by itself: from its shard's file, or with one HTTP range request if the dataset is at an address
    and the shard is not in the cache. Several threads and processes may use one instance at once. Only those rows of
    ``latents.parquet`` are read that describe the shards in use, even if the dataset is at an address.

    Args:
        location: Folder of the dataset, or an address that starts with http://, https://, s3:// or hf://.
        split: ``train`` or ``val``; by default both, one after the other.
        transform: Function of each item's RGB Pillow image; by default images become uint8 tensors.

    Attributes:
        index: Contents of ``dataset.json``.
        latent_names: Names of the latents, in order.

    Raises:
        UsageError: There is no dataset at the location, or it has no such split.
        IebenchError: The dataset has no ``latents.parquet``; ``iebench index`` makes one.
    """

    def __init__(
        self,
        location: str | Path,
        split: str | None = None,
        transform: Callable[[Image.Image], Any] | None = None,
    ) -> None:
        self._folder = dataset_folder(location)
        self.index = open_dataset(self._folder)
        self.latent_names = tuple(latent.name for latent in self.index.latents)
        self._transform = transform
        splits = [self.index.split(split)] if split else list(self.index.splits.values())
        self._shards = [shard for found in splits for shard in found.shards]
        self._stops = np.cumsum([shard.views for shard in self._shards])
        self._rows = TableRows(self._folder, self.index)
        self._rows.open()
        self._read: dict[str, tuple[list[Name], np.ndarray]] = {}

    @property
    def objects(self) -> tuple[Name, ...]:
        """Synset and name of each object; the views of object ``i`` begin at position ``i * views_per_object``.

        This reads the names in all shards. If the dataset is at an address, it downloads most of ``latents.parquet``.
        """
        return tuple(name for shard in self._shards for name in self._rows_of(shard)[0])

    def __len__(self) -> int:
        """Returns the number of views."""
        return int(self._stops[-1])

    def __getitem__(self, position: int) -> Item:
        """Returns the view at ``position`` in the order of the index; negative ones count from the end."""
        view = self.read(position)
        pixels = view.pixels()
        if self._transform is None:
            image: Any = torch.from_numpy(pixels).movedim(-1, 0)
        else:
            image = self._transform(Image.fromarray(pixels))
        return Item(image, torch.tensor(view.metadata.latents, dtype=torch.float64), view.metadata.label)

    def read(self, position: int) -> View:
        """Reads a view with everything that is stored of it, such as its metadata and its passes.

        Args:
            position: Position of the view in the order of the index; negative ones count from the end.

        Raises:
            IndexError: There is no such position.
            IebenchError: The shard cannot be read, or contradicts ``latents.parquet``.
        """
        if not -len(self) <= position < len(self):
            raise IndexError(f"position {position} of {len(self)} views")
        position %= len(self)
        number = int(np.searchsorted(self._stops, position, side="right"))
        shard = self._shards[number]
        return self._read_in(shard, position - int(self._stops[number]) + shard.views)

    def _read_in(self, shard: ShardInfo, position: int) -> View:
        names, byte_ranges = self._rows_of(shard)
        number, view = divmod(position, self.index.views_per_object)
        return read_view(self._folder, self.index, shard, byte_ranges[position], (*names[number], view))

    def _rows_of(self, shard: ShardInfo) -> tuple[list[Name], np.ndarray]:
        """Returns the names of a shard's objects and the byte ranges of its views; each shard's are read only once."""
        if shard.name not in self._read:
            names, byte_ranges = self._rows.read_shard(shard)
            own = [(synset, name) for synset, name, _ in names[:: self.index.views_per_object]]
            self._read[shard.name] = own, byte_ranges
        return self._read[shard.name]

    def view(self, synset: str, object_id: str, view: int) -> View:
        """Reads a view by its object's name and its number, from 0 on.

        Raises:
            UsageError: The dataset, or the chosen split, has no such view.
            IebenchError: The shard cannot be read, or contradicts ``latents.parquet``.
        """
        views = self.index.views_per_object
        if 0 <= view < views:
            for shard in self._rows.may_hold(self._shards, synset, object_id):
                names, _ = self._rows_of(shard)
                if (synset, object_id) in names:
                    return self._read_in(shard, names.index((synset, object_id)) * views + view)
        raise UsageError(f"the dataset holds no view {view} of object {synset}/{object_id}")

    def pairs(self) -> "PairDataset":
        """Returns a dataset of pairs: two random views of each object."""
        return PairDataset(self)


class PairDataset(torch.utils.data.Dataset[tuple[Item, Item]]):
    """A dataset of pairs: two views of each object, drawn anew at each access by torch's generator.

    One pass over it is an epoch in the sense of the SIE paper (arXiv 2302.10283): one random pair per object.

    Raises:
        UsageError: The dataset has only one view of each object.
    """

    def __init__(self, views: Dataset) -> None:
        if views.index.views_per_object < 2:
            raise UsageError("the dataset has one view of each object, which makes no pair")
        self._views = views

    def __len__(self) -> int:
        """Returns the number of objects."""
        return len(self._views) // self._views.index.views_per_object

    def __getitem__(self, number: int) -> tuple[Item, Item]:
        """Returns a random pair of different views of object ``number``."""
        count = self._views.index.views_per_object
        first, second = torch.randperm(count)[:2].tolist()
        start = range(len(self))[number] * count
        return self._views[start + first], self._views[start + second]
