"""Reads the validation views that a page shows, and passes them through networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iebench.backbones.encoder import Encoder
from iebench.evaluation.features import Features
from iebench.methods.parts.transformations import LATENTS, quaternion_from_euler
from shards.lists import Name
from shards.reader import View, read_views
from shards.schema import DatasetIndex

NEIGHBORS = 5


@dataclass(frozen=True)
class Sample:
    """Whole objects of the validation split, class by class, all with the same number of views."""

    index: DatasetIndex
    views: list[View]
    views_per_object: int

    @property
    def objects(self) -> int:
        """Number of objects."""
        return len(self.views) // self.views_per_object

    @cached_property
    def names(self) -> list[Name]:
        """Synset and name of each object."""
        firsts = self.views[:: self.views_per_object]
        return [(view.metadata.synset, view.metadata.object) for view in firsts]

    @cached_property
    def labels(self) -> Tensor:
        """Labels (objects,) int64 of the classes."""
        return torch.tensor([view.metadata.label for view in self.views[:: self.views_per_object]])

    @cached_property
    def latents(self) -> Tensor:
        """Latents (objects, views, number of latents) float64."""
        rows = torch.tensor([view.metadata.latents for view in self.views], dtype=torch.float64)
        return rows.unflatten(0, (self.objects, self.views_per_object))

    @cached_property
    def owners(self) -> Tensor:
        """Number (views of all objects,) int64 of the object that each view shows."""
        return torch.arange(self.objects).repeat_interleave(self.views_per_object)

    @property
    def has_poses(self) -> bool:
        """Whether views have a known rotation; photographs have none."""
        return set(LATENTS["rotation"]) <= {latent.name for latent in self.index.latents}

    @cached_property
    def poses(self) -> Tensor:
        """Returns the poses (views of all objects, 4) as float64 unit quaternions x y z w.

        Raises:
            UsageError: The dataset has no rotations.
        """
        angles = self.latents[..., self.index.latent_index(LATENTS["rotation"])]
        return quaternion_from_euler(angles.flatten(0, 1))

    def images(self) -> Tensor:
        """Decodes the images (views of all objects, 3, height, width) uint8."""
        pixels = torch.from_numpy(np.stack([view.pixels() for view in self.views]))
        return pixels.permute(0, 3, 1, 2)

    def class_name(self, label: int) -> str:
        """Returns the name of a class."""
        found = (item.name for item in self.index.classes if item.label == label)
        return next(found, f"class {label}")

    def features(self, representations: Tensor) -> Features:
        """Returns representations (views of all objects, dimension) in the form that evaluations take."""
        by_object = representations.unflatten(0, (self.objects, self.views_per_object))
        return Features(by_object, self.latents, self.labels, self.names)


def read_sample(folder: Path, index: DatasetIndex, most: int, views_each: int | None = None) -> Sample:
    """Reads the first validation objects of each class, as many of each as there is room for.

    There are at most ``most`` views, but at least one object, and of each object the first ``views_each`` or all views.

    Raises:
        UsageError: There are no validation views.
        IebenchError: A shard cannot be read.
    """
    index.split("val")
    each = min(views_each or index.views_per_object, index.views_per_object)
    room = max(1, most // each)
    of_class = -(-room // len(index.classes))
    found: dict[int, dict[str, list[View]]] = {}
    for view in read_views(folder, index, "val"):
        objects = found.setdefault(view.metadata.label, {})
        if view.metadata.object in objects or len(objects) < of_class:
            views = objects.setdefault(view.metadata.object, [])
            if len(views) < each:
                views.append(view)
    ranked = [
        (number, label, views)
        for label, objects in found.items()
        for number, views in enumerate(objects.values())
    ]
    taken = sorted(sorted(ranked, key=lambda item: item[:2])[:room], key=lambda item: (item[1], item[0]))
    return Sample(index, [view for _, _, views in taken for view in views], each)


@torch.inference_mode()
def represent(encoder: Encoder, images: Tensor) -> Tensor:
    """Computes representations (views, dimension) float32 of images (views, 3, height, width) uint8."""
    return torch.cat([encoder(batch) for batch in images.split(128)])


def nearest_of_others(vectors: Tensor, owners: Tensor) -> Tensor:
    """Finds the rows of other objects that are nearest to each row, by cosine similarity around the mean.

    Args:
        vectors: Vectors (rows, dimension).
        owners: Number (rows,) of the object of each row.

    Returns:
        (rows, at most ``NEIGHBORS``) indices, nearest first.
    """
    unit = torch.nn.functional.normalize(vectors - vectors.mean(dim=0), dim=1)
    similarity = unit @ unit.T
    similarity[owners[:, None] == owners[None, :]] = -torch.inf
    others = int((owners != owners[0]).sum())
    return similarity.topk(min(NEIGHBORS, others), dim=1).indices


def angles_between(first: Tensor, second: Tensor) -> Tensor:
    """Computes the angles (...,) in degrees of the rotations between poses, which are unit quaternions (..., 4)."""
    cosine = (first * second).sum(dim=-1).abs().clamp(max=1)
    return torch.rad2deg(2 * torch.acos(cosine))


def spread(items: Sequence[int], count: int) -> list[int]:
    """Chooses ``count`` of the items, evenly spaced."""
    shown = min(count, len(items))
    return [items[number * len(items) // shown] for number in range(shown)]
