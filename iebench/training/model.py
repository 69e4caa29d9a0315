"""The network that is trained: a backbone, a method and online heads."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from iebench.augmentations.parameter_scale import ParameterScale
from iebench.augmentations.parameters import PARAMETERS
from iebench.backbones.builtin import REPRESENTATION_DIMENSIONS, build_backbone, load_initial_weights
from iebench.backbones.feature_maps import feature_maps, require_feature_maps
from iebench.methods import Batch, Dimensions, find_method
from iebench.methods.parts.ema import cosine_momentum, frozen_copy, update_ema
from iebench.methods.parts.gather import own_rows
from iebench.methods.parts.transformations import (
    DIMENSIONS,
    LATENTS,
    SCENE_GROUPS,
    Group,
    groups_of,
    relative_transformation,
)
from iebench.recipes.recipe import Recipe
from iebench.training.augmented_views import augmentation_of
from iebench.training.online import OnlineEvaluation, Views
from shards.schema import DatasetIndex


class ModelOutput(NamedTuple):
    """Output of the model for one batch.

    Attributes:
        loss: Loss to minimize: the sum of the method's and that of the online heads.
        terms: Scalars by name: the method's ``loss`` and its terms, and the scores of the online heads.
        spaces: Detached representations and embeddings of this process's views, by the name of the space.
    """

    loss: Tensor
    terms: dict[str, Tensor]
    spaces: dict[str, Views]


class Model(nn.Module):
    """Normalizes images, runs the backbone, and hands representations to the method.

    Attributes:
        augmentation: Makes the views of a draw out of one stored view; None if views are drawn as they are stored.
        parameter_scale: Standardizes the parameters of augmentations; None if there are none.
    """

    channel_mean: Tensor
    channel_std: Tensor

    def __init__(self, recipe: Recipe, index: DatasetIndex, classes: int) -> None:
        super().__init__()
        dimensions = Dimensions(REPRESENTATION_DIMENSIONS[recipe.backbone.name], classes)
        self.backbone_config = recipe.backbone
        self.joint_views = recipe.backbone.joint_views
        self._encode: Callable[[nn.Module, Tensor], Tensor] = self._encoded
        self.latent_names = [latent.name for latent in index.latents]
        self.parameter_scale = None
        if recipe.augmentation is not None:
            self.latent_names += PARAMETERS
            self.parameter_scale = ParameterScale()
        self.backbone = build_backbone(recipe.backbone, index.image_size)
        self.method = find_method(recipe.method.name).build(recipe.method, dimensions)
        self.augmentation = augmentation_of(recipe, self.method, index)
        if self.method.wants_maps:
            require_feature_maps(self.backbone)
        self.target_backbone = None if self.method.base_momentum is None else frozen_copy(self.backbone)
        spaces = {"representation": dimensions.representation, "embedding": self.method.embedding_dimension}
        self.has_rotation = "rotation" in groups_of(self.latent_names) and self.parameter_scale is None
        self.online = OnlineEvaluation(
            {name: dimension for name, dimension in spaces.items() if dimension},
            dimensions.classes,
            recipe.online,
            DIMENSIONS["rotation"] if self.has_rotation else 0,
        )
        self.register_buffer("channel_mean", torch.tensor(index.channel_mean).view(1, 3, 1, 1))
        self.register_buffer("channel_std", torch.tensor(index.channel_std).view(1, 3, 1, 1))

    def represent(self, views: Tensor) -> Tensor:
        """Computes representations (batch, dimension) of views (batch, 3, height, width) uint8."""
        return self._pooled(self._encode(self.backbone, views))

    def transformation(self, first: Tensor, second: Tensor, groups: Sequence[Group]) -> Tensor:
        """Computes the transformation (batch, dimension) between two views from their latents (batch, latents).

        The numbers of the groups stand side by side in their order. Parameters of augmentations are standardized.
        """
        if self.parameter_scale is not None:
            second = self.parameter_scale(second)
        between = relative_transformation(first, second, groups, self.latent_names)
        return between.to(self.channel_mean.dtype)

    def load_initial_weights(self) -> None:
        """Loads the file that ``backbone.weights`` names, if it names one, into the backbone and its target network.

        Raises:
            UsageError: The file cannot be read, or holds the weights of another network.
        """
        load_initial_weights(self.backbone, self.backbone_config)
        if self.target_backbone is not None:
            self.target_backbone.load_state_dict(self.backbone.state_dict())

    def compile_backbones(self) -> None:
        """Lets torch.compile compile normalization, backbone and target network when they first run."""
        self._encode = torch.compile(self._encoded)

    def forward(self, views: Views, latents: Views, labels: Tensor) -> ModelOutput:
        """Computes the loss and its terms for one batch of draws.

        Args:
            views: Images (batch, 3, height, width) uint8 of each view of the draws.
            latents: Latents (batch, number of latents) of each view.
            labels: Classes (batch,).
        """
        encoded = self._each(self.backbone, views)
        targets = None
        if self.target_backbone is not None:
            with torch.no_grad():
                wanted = tuple(views[number] for number in self.method.target_views)
                targets = self._each(self.target_backbone, wanted)
        transformations = tuple(
            self.transformation(latents[relation.source], latents[relation.target], relation.groups)
            for relation in self.method.relations()
        )
        outcome = self.method(Batch(encoded, transformations, labels, targets, latents))

        spaces = {"representation": tuple(self._pooled(view).detach() for view in encoded)}
        if outcome.embeddings is not None:
            spaces["embedding"] = tuple(own_rows(view).detach() for view in outcome.embeddings)
        rotation = self.transformation(latents[0], latents[1], ["rotation"]) if self.has_rotation else None
        heads_loss, scores = self.online(spaces, labels, rotation)
        return ModelOutput(outcome.terms["loss"] + heads_loss, {**outcome.terms, **scores}, spaces)

    def after_step(self, progress: float) -> None:
        """Moves target networks after an optimizer step; ``progress`` is the share of the training that is done."""
        if self.target_backbone is not None and self.method.base_momentum is not None:
            momentum = cosine_momentum(self.method.base_momentum, progress)
            update_ema(self.target_backbone, self.backbone, momentum)
            self.method.update_targets(momentum)

    def _each(self, backbone: nn.Module, views: Views) -> Views:
        """Encodes each view as the method wants it: as a representation or as a feature map."""
        if self.joint_views:
            return self._encode(backbone, torch.cat(views)).chunk(len(views))
        return tuple(self._encode(backbone, view) for view in views)

    def _encoded(self, backbone: nn.Module, views: Tensor) -> Tensor:
        """Encodes uint8 views by a backbone; this is what torch.compile compiles."""
        images = self._normalized(views)
        return feature_maps(backbone, images) if self.method.wants_maps else backbone(images)

    def _pooled(self, encoded: Tensor) -> Tensor:
        return encoded.mean(dim=(2, 3)) if self.method.wants_maps else encoded

    def _normalized(self, views: Tensor) -> Tensor:
        normalized = (views.to(self.channel_mean.dtype) / 255 - self.channel_mean) / self.channel_std
        return normalized.contiguous(memory_format=torch.channels_last)


def build_model(recipe: Recipe, index: DatasetIndex, classes: int | None = None) -> Model:
    """Builds the model of a recipe with its initial weights, a function of ``training.seed``.

    There are as many classes as in the dataset of the training, by default that of ``index``.

    Raises:
        UsageError: The dataset lacks a latent that the recipe's groups need, or sizes do not fit.
    """
    torch.manual_seed(recipe.training.seed)
    model = Model(recipe, index, classes or len(index.classes))
    groups = {group for relation in model.method.relations() for group in relation.groups}
    index.latent_index(tuple(name for group in SCENE_GROUPS if group in groups for name in LATENTS[group]))
    return model.to(memory_format=torch.channels_last)
