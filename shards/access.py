"""Single views of a dataset, in any order: for notebooks, and for training code of other people.

A dataset is read here as torch reads map-style datasets. Each view is one read of its own: from a file, or, where the
dataset stands at an address and the shard is not in the cache, over one HTTP range. Streams (``shards.stream``) are
what reads whole datasets fast.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.utils.data
from PIL import Image

from shards.errors import UsageError
from shards.mirror import dataset_folder
from shards.reader import View
from shards.schema import ShardInfo, open_dataset
from shards.single import read_view
from shards.table import open_table, place_names, places_of


class Item(NamedTuple):
    """One view, as torch's ``default_collate`` takes it.

    Attributes:
        image: (3, height, width) uint8 tensor, RGB; or what the dataset's ``transform`` made of the Pillow image.
        latents: (number of latents,) float64 tensor, in the order of ``Dataset.latent_names``.
        label: Label of the class.
    """

    image: Any
    latents: torch.Tensor
    label: int


class Dataset(torch.utils.data.Dataset[Item]):
    """Every view of a dataset by its place or its name.

    All methods may be called from several threads and processes at once.

    Args:
        location: A folder, or an address that starts with http://, https://, s3:// or hf://.
        split: ``train`` or ``val``; by default both, one after the other.
        transform: Called with the RGB Pillow image of each item; by default images are uint8 tensors.

    Attributes:
        index: Contents of ``dataset.json``.
        latent_names: Names of the latents, in order.

    Raises:
        UsageError: there is no dataset, or no such split.
        IebenchError: the dataset has no ``latents.parquet``; ``iebench index`` makes it.
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
        self._shards: list[ShardInfo] = [shard for found in splits for shard in found.shards]
        table = open_table(self._folder, self.index)
        rows = table.read(self._shards, ["synset", "object", *place_names(self.index)])
        self._shard_of = np.repeat(np.arange(len(self._shards)), [shard.views for shard in self._shards])
        self._places = places_of(rows, self.index)
        first_views = rows.select(["synset", "object"]).take(
            np.arange(0, len(self), self.index.views_per_object)
        )
        self._objects = list(zip(*(column.to_pylist() for column in first_views.columns), strict=True))
        self._numbers = {name: number for number, name in enumerate(self._objects)}

    @property
    def objects(self) -> tuple[tuple[str, str], ...]:
        """Synset and name of each object; views ``i * views_per_object`` and on are those of object ``i``."""
        return tuple(self._objects)

    def __len__(self) -> int:
        """How many views there are."""
        return len(self._shard_of)

    def __getitem__(self, place: int) -> Item:
        """The view at a place, from 0 on in the order of the index; negative places count from the end."""
        view = self.read(place)
        pixels = view.pixels()
        if self._transform is None:
            image: Any = torch.from_numpy(pixels).movedim(-1, 0)
        else:
            image = self._transform(Image.fromarray(pixels))
        return Item(image, torch.tensor(view.metadata.latents, dtype=torch.float64), view.metadata.label)

    def read(self, place: int) -> View:
        """The view at a place with all that is stored of it, such as its metadata and its passes.

        Args:
            place: Place in the order of the index; negative places count from the end.

        Raises:
            IndexError: there is no such place.
            IebenchError: the shard cannot be read, or says something else than ``latents.parquet``.
        """
        if not -len(self) <= place < len(self):
            raise IndexError(f"place {place} of {len(self)} views")
        number, view = divmod(place % len(self), self.index.views_per_object)
        return read_view(
            self._folder,
            self.index,
            self._shards[self._shard_of[place]],
            self._places[place],
            (*self._objects[number], view),
        )

    def view(self, synset: str, object_id: str, view: int) -> View:
        """A view by the name of its object and its number.

        Raises:
            UsageError: the dataset, or the split, holds no such view.
            IebenchError: as of ``read``.
        """
        number = self._numbers.get((synset, object_id))
        if number is None or not 0 <= view < self.index.views_per_object:
            raise UsageError(f"the dataset holds no view {view} of object {synset}/{object_id}")
        return self.read(number * self.index.views_per_object + view)

    def pairs(self) -> "PairDataset":
        """Pairs of views of one object each, one pair per object."""
        return PairDataset(self)


class PairDataset(torch.utils.data.Dataset[tuple[Item, Item]]):
    """Two views of each object, drawn anew each time by torch's generator.

    One pass over it is an epoch in the sense of the SIE paper (arXiv 2302.10283): one random pair per object.

    Args:
        views: The views.

    Raises:
        UsageError: objects have one view, which makes no pair.
    """

    def __init__(self, views: Dataset) -> None:
        if views.index.views_per_object < 2:
            raise UsageError("the dataset has one view of each object, which makes no pair")
        self._views = views

    def __len__(self) -> int:
        """How many objects there are."""
        return len(self._views.objects)

    def __getitem__(self, number: int) -> tuple[Item, Item]:
        """A random pair of views of one object."""
        count = self._views.index.views_per_object
        first, second = torch.randperm(count)[:2].tolist()
        start = range(len(self))[number] * count
        return self._views[start + first], self._views[start + second]
