"""Takes one view of each object of a dataset of iebench as a picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from shards.access import Dataset
from shards.errors import UsageError
from shards.images import ChannelOrder
from shards.licenses import license_beside
from shards.pictures.picture import Picture
from shards.pictures.source import FoundPicture, PictureSource
from shards.schema import open_dataset

_open = lru_cache(maxsize=4)(Dataset)


@dataclass(frozen=True)
class ViewsOfDataset(PictureSource):
    """One view of each object of a dataset.

    Attributes:
        view: Number of the view that is taken of each object.
    """

    view: int
    words = "one view of each object of a dataset"

    @property
    def channel_order(self) -> ChannelOrder:
        return open_dataset(self.path).channel_order

    def pictures(self) -> list[FoundPicture]:
        """Lists one view of each object.

        Raises:
            UsageError: There is no dataset, or it has no such view.
            IebenchError: The dataset has no ``latents.parquet``.
        """
        index = open_dataset(self.path)
        if self.view >= index.views_per_object:
            raise UsageError(
                f"{self.path} has views 0 to {index.views_per_object - 1} of each object and no view {self.view}"
            )
        found = []
        for split, info in index.splits.items():
            if info.views:
                names = _open(self.path, split).objects
                found += [
                    FoundPicture(*name, split, (split, number * index.views_per_object + self.view))
                    for number, name in enumerate(names)
                ]
        return found

    def class_names(self) -> Mapping[str, str]:
        return {item.synset: item.name for item in open_dataset(self.path).classes}

    def read(self, item: Picture) -> bytes:
        return _open(self.path, str(item.location[0])).read(int(item.location[1])).jpeg

    def license_text(self) -> str:
        return license_beside(self.path)
