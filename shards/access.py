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
from shards.lists import Name
from shards.mirror import dataset_folder
from shards.reader import View
from shards.rows import TableRows
from shards.schema import ShardInfo, open_dataset
from shards.single import read_view


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

    All methods may be called from several threads and processes at once. Of the table, only the rows of shards that are
    asked for are read, also from an address.

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
        self._stops = np.cumsum([shard.views for shard in self._shards])
        self._rows = TableRows(self._folder, self.index)
        self._rows.open()
        self._read: dict[str, tuple[list[Name], np.ndarray]] = {}

    @property
    def objects(self) -> tuple[Name, ...]:
        """Synset and name of each object; views ``i * views_per_object`` and on are those of object ``i``.

        The names of all shards are read for it, which from an address is most of the table.
        """
        return tuple(name for shard in self._shards for name in self._rows_of(shard)[0])

    def __len__(self) -> int:
        """How many views there are."""
        return int(self._stops[-1])

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
        place %= len(self)
        number = int(np.searchsorted(self._stops, place, side="right"))
        shard = self._shards[number]
        return self._read_in(shard, place - int(self._stops[number]) + shard.views)

    def _read_in(self, shard: ShardInfo, place: int) -> View:
        names, places = self._rows_of(shard)
        number, view = divmod(place, self.index.views_per_object)
        return read_view(self._folder, self.index, shard, places[place], (*names[number], view))

    def _rows_of(self, shard: ShardInfo) -> tuple[list[Name], np.ndarray]:
        """The objects of a shard and the places of its views, which are read once."""
        if shard.name not in self._read:
            names, places = self._rows.of(shard)
            own = [(synset, name) for synset, name, _ in names[:: self.index.views_per_object]]
            self._read[shard.name] = own, places
        return self._read[shard.name]

    def view(self, synset: str, object_id: str, view: int) -> View:
        """A view by the name of its object and its number.

        Raises:
            UsageError: the dataset, or the split, holds no such view.
            IebenchError: as of ``read``.
        """
        views = self.index.views_per_object
        if 0 <= view < views:
            for shard in self._rows.may_hold(self._shards, synset, object_id):
                names, _ = self._rows_of(shard)
                if (synset, object_id) in names:
                    return self._read_in(shard, names.index((synset, object_id)) * views + view)
        raise UsageError(f"the dataset holds no view {view} of object {synset}/{object_id}")

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
        return len(self._views) // self._views.index.views_per_object

    def __getitem__(self, number: int) -> tuple[Item, Item]:
        """A random pair of views of one object."""
        count = self._views.index.views_per_object
        first, second = torch.randperm(count)[:2].tolist()
        start = range(len(self))[number] * count
        return self._views[start + first], self._views[start + second]
