"""Draws more views of an object beside one of its views, each with the transformation that leads to it.

A predictor of augmentations gets augmentations of the view, and one of scenes the object's other stored views.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from iebench.augmentations.config import AugmentationConfig
from iebench.augmentations.parameters import PARAMETERS, draw_parameters, original_parameters, uniform_numbers
from iebench.augmentations.pipeline import augment
from iebench.backbones.encoder import EmbeddingPredictor
from iebench.evaluation.corruptions import CLEAN, Condition, corrupted_image
from iebench.methods.parts.transformations import LATENTS, Group
from shards.reader import View

SEED = 0
"""Seed of the augmentations, which are a function of it and of the object's name."""


@dataclass(frozen=True)
class ViewWithOthers:
    """One view of an object, and more of them.

    Attributes:
        source: First view (3, height, width) uint8.
        others: Further views (count, 3, height, width) uint8.
        latents: Latents (1 + count, number of latents) float64 of the source and the others, as the predictor takes them.
    """

    source: Tensor
    others: Tensor
    latents: Tensor


class OtherViewsSource(ABC):
    """The base class of sources of more views of an object.

    Args:
        most: Largest number of further views.
    """

    def __init__(self, most: int) -> None:
        self.most = most

    @abstractmethod
    def draw(self, views: Sequence[View], count: int, condition: Condition = CLEAN) -> ViewWithOthers:
        """Draws the first view of an object and further ones.

        Args:
            views: Stored views of the object.
            count: Number of further views, at most ``most``.
            condition: Condition in which stored views are shown.
        """


class AugmentedViews(OtherViewsSource):
    """Gives augmentations of an object's first view.

    Args:
        config: Settings of the augmentations.
        most: Number of augmentations.
        before: Number of latents before the parameters, which are set to 0.
        only: Only group to apply, to every view; None applies all groups with the pipeline's probabilities.
    """

    def __init__(
        self, config: AugmentationConfig, most: int, before: int = 0, only: Group | None = None
    ) -> None:
        super().__init__(most)
        always = {"flip": 1.0, "jitter": 1.0, "grayscale": 1.0, "blur": [1.0], "solarize": [1.0]}
        self.config = config if only is None else config.model_copy(update=always)
        self._before = before
        self._columns = [PARAMETERS.index(name) for name in (PARAMETERS if only is None else LATENTS[only])]

    def draw(self, views: Sequence[View], count: int, condition: Condition = CLEAN) -> ViewWithOthers:
        """Draws as ``OtherViewsSource.draw`` says; the augmentations are the same under all conditions."""
        view = views[0]
        pixels = corrupted_image(view.pixels(), condition, view.metadata.key)
        size = len(pixels)
        source = _channels_first(pixels)
        latents = np.zeros((1 + count, self._before + len(PARAMETERS)))
        rows = latents[:, self._before :]
        rows[:] = original_parameters(size, size)
        others = torch.empty((count, 3, size, size), dtype=torch.uint8)
        for number, row in enumerate(rows[1:]):
            numbers = uniform_numbers(SEED, view.metadata.synset, view.metadata.object, number, 1)
            row[self._columns] = draw_parameters(self.config, 1, size, size, numbers)[self._columns]
            others[number] = augment(source, row, size, self.config.solarize_threshold)
        return ViewWithOthers(source, others, torch.from_numpy(latents))


class StoredViews(OtherViewsSource):
    """Gives an object's other stored views.

    Args:
        columns: Columns of the predictor's latents among the stored ones.
        views_per_object: Number of views of each object.
    """

    def __init__(self, columns: Sequence[int], views_per_object: int) -> None:
        super().__init__(views_per_object - 1)
        self._columns = list(columns)

    def draw(self, views: Sequence[View], count: int, condition: Condition = CLEAN) -> ViewWithOthers:
        """Draws as ``OtherViewsSource.draw`` says."""
        images = [
            _channels_first(corrupted_image(view.pixels(), condition, view.metadata.key))
            for view in views[: 1 + count]
        ]
        latents = torch.tensor([view.metadata.latents for view in views[: 1 + count]], dtype=torch.float64)
        return ViewWithOthers(images[0], torch.stack(images[1:]), latents[:, self._columns])


def more_views_for(
    predictor: EmbeddingPredictor | None, latent_names: Sequence[str], views_per_object: int, most: int
) -> OtherViewsSource:
    """Chooses the source of more views for a predictor; without a predictor, the default augmentations.

    Args:
        predictor: Predictor of the network; None if there is none.
        latent_names: Latents of the dataset; a predictor of scenes needs those that it was trained with.
        views_per_object: Number of views of each object of the dataset.
        most: Number of augmentations.
    """
    if predictor is None:
        return AugmentedViews(AugmentationConfig(), most)
    if predictor.augmentation is not None:
        return AugmentedViews(predictor.augmentation, most, len(predictor.latent_names) - len(PARAMETERS))
    return StoredViews([list(latent_names).index(name) for name in predictor.latent_names], views_per_object)


def _channels_first(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
