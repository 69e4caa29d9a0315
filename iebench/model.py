"""The network that is trained: a backbone and a method's head on it."""

import torch
from torch import Tensor, nn

from iebench.backbones import REPRESENTATION_DIMENSION, build_backbone
from iebench.methods.sie import SIE
from iebench.recipe import Recipe
from iebench.transformations import LATENTS, relative_transformation
from shards.errors import UsageError
from shards.schema import DatasetIndex
from shards.stream import Pair


class Model(nn.Module):
    """Normalises images, runs the backbone, and hands representations to the method.

    Args:
        recipe: sizes and coefficients.
        index: of the dataset, for its channel statistics and the names of its latents.
    """

    channel_mean: Tensor
    channel_std: Tensor

    def __init__(self, recipe: Recipe, index: DatasetIndex) -> None:
        super().__init__()
        self.backbone = build_backbone(recipe.backbone.small_image_stem)
        self.method = SIE(recipe.method, REPRESENTATION_DIMENSION)
        self.latent_names = [latent.name for latent in index.latents]
        self.register_buffer("channel_mean", torch.tensor(index.channel_mean).view(1, 3, 1, 1))
        self.register_buffer("channel_std", torch.tensor(index.channel_std).view(1, 3, 1, 1))

    def represent(self, views: Tensor) -> Tensor:
        """Representations (batch, 512) of (batch, 3, height, width) uint8 views."""
        normalised = (views.float() / 255 - self.channel_mean) / self.channel_std
        return self.backbone(normalised.contiguous(memory_format=torch.channels_last))

    def transformation(self, first: Tensor, second: Tensor) -> Tensor:
        """What takes the first (batch, latents) to the second, in the method's groups, in float32."""
        groups = self.method.config.groups
        return relative_transformation(first, second, groups, self.latent_names).float()

    def forward(self, pair: Pair) -> dict[str, Tensor]:
        """The loss and its terms for one batch of pairs.

        Both views go through the backbone in one call, each normalised by statistics over both.
        """
        first, second = self.represent(torch.cat(pair.views)).chunk(2)
        return self.method(first, second, self.transformation(*pair.latents))


def build_model(recipe: Recipe, index: DatasetIndex) -> Model:
    """The model of a recipe with its initial weights, a function of ``training.seed``.

    Raises:
        UsageError: the dataset lacks a latent that the recipe's groups need, or sizes do not fit.
    """
    index.latent_index(tuple(name for group in recipe.method.groups for name in LATENTS[group]))
    if recipe.method.equivariant_dimension >= REPRESENTATION_DIMENSION:
        raise UsageError(
            f"method.equivariant_dimension = {recipe.method.equivariant_dimension} leaves nothing for the invariant "
            f"part of a representation of {REPRESENTATION_DIMENSION}"
        )
    torch.manual_seed(recipe.training.seed)
    return Model(recipe, index).to(memory_format=torch.channels_last)
