"""Draws more views of an object beside one of its views, each with the transformation that leads to it.

A predictor of augmentations gets augmentations of the view, and one of scenes the object's other stored views.
"""

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


class AugmentedViews:
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
        self.most = most
        always = {"flip": 1.0, "jitter": 1.0, "grayscale": 1.0, "blur": [1.0], "solarize": [1.0]}
        self.config = config if only is None else config.model_copy(update=always)
        self._before = before
        self._columns = [PARAMETERS.index(name) for name in (PARAMETERS if only is None else LATENTS[only])]

    def draw(self, views: Sequence[View], count: int, condition: Condition = CLEAN) -> ViewWithOthers:
        """Draws the first of an object's views and ``count`` augmentations, which are the same in all conditions."""
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


class StoredViews:
    """Gives an object's other stored views, with the stored latents in ``columns``, which the predictor takes."""

    def __init__(self, columns: Sequence[int], views_per_object: int) -> None:
        self.most = views_per_object - 1
        self._columns = list(columns)

    def draw(self, views: Sequence[View], count: int, condition: Condition = CLEAN) -> ViewWithOthers:
        """Draws the first of an object's views and the ``count`` after it, at most ``most``, in a condition."""
        shown = views[: 1 + count]
        images = [
            _channels_first(corrupted_image(view.pixels(), condition, view.metadata.key)) for view in shown
        ]
        latents = torch.tensor([view.metadata.latents for view in shown], dtype=torch.float64)
        return ViewWithOthers(images[0], torch.stack(images[1:]), latents[:, self._columns])


OtherViewsSource = AugmentedViews | StoredViews
"""A source of at most ``most`` further views of an object."""


def more_views_for(
    predictor: EmbeddingPredictor | None, latent_names: Sequence[str], views_per_object: int, most: int
) -> OtherViewsSource:
    """Chooses the source of more views for a predictor; without a predictor, ``most`` of the default augmentations.

    A predictor of scenes needs a dataset with the latents that it was trained with.
    """
    if predictor is None:
        return AugmentedViews(AugmentationConfig(), most)
    if predictor.augmentation is not None:
        return AugmentedViews(predictor.augmentation, most, len(predictor.latent_names) - len(PARAMETERS))
    return StoredViews([list(latent_names).index(name) for name in predictor.latent_names], views_per_object)


def _channels_first(pixels: np.ndarray) -> Tensor:
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1)
