"""EquiMod: an equivariance module beside an invariant method (Devillers and Lefort, ICLR 2023, arXiv 2211.01244).

Each draw is the original picture and two augmented views of it. The module is told how each view was made, and predicts
the view's embedding from the original's.
"""

from abc import abstractmethod

import torch
from pydantic import Field
from torch import Tensor, nn

from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, Relation, register
from iebench.methods.parts.ema import frozen_copy, update_ema
from iebench.methods.parts.fields import Groups, Momentum, PredictionWidth, Temperature, Weight, Widths
from iebench.methods.parts.full_precision import in_float32
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import alignment_loss, contrastive_loss, redundancy_loss
from iebench.methods.parts.projectors import normed_projector
from iebench.methods.parts.transformations import DIMENSIONS


class EquiModConfig(MethodConfig):
    """Fields of the module in a recipe; the defaults are the published ones."""

    groups: Groups = ["crop", "flip", "color_jitter", "grayscale"]
    equivariance: Weight = Field(default=1.0, description="weight of the module beside the base method")
    equivariant_projector: Widths = Field(
        default=[2048, 2048, 128], description="widths of the layers of the module's projector"
    )
    equivariant_temperature: Temperature = Field(
        default=0.2, description="divides the cosine similarities of the module's NT-Xent"
    )
    parameter_width: int = Field(
        default=128, ge=1, description="width to which the parameters of augmentations are embedded"
    )


class EquiModSimCLRConfig(EquiModConfig):
    """Fields of EquiMod on SimCLR in a recipe; the temperature is that of CIFAR-10."""

    projector: Widths = [2048, 2048, 128]
    temperature: Temperature = 0.5


class EquiModBYOLConfig(EquiModConfig):
    """Fields of EquiMod on BYOL in a recipe."""

    groups: Groups = ["crop", "flip", "color_jitter", "grayscale", "blur", "solarize"]
    projector: Widths = [4096, 256]
    prediction_width: PredictionWidth = 4096
    momentum: Momentum = 0.996


class EquiModBarlowConfig(EquiModConfig):
    """Fields of EquiMod on Barlow Twins in a recipe; how the paper weights the two could not be checked."""

    projector: Widths = [2048, 2048, 2048]
    redundancy: Weight = Field(default=0.0051, description="weight of the correlations off the diagonal")


class ParameterPredictor(nn.Module):
    """Embeds the parameters of augmentations by a linear map with batch norm, and predicts an embedding with them."""

    def __init__(self, config: EquiModConfig) -> None:
        super().__init__()
        dimension, width = config.equivariant_projector[-1], config.parameter_width
        parameters = sum(DIMENSIONS[group] for group in config.groups)
        self.parameters_embedding = nn.Sequential(
            nn.Linear(parameters, width, bias=False), nn.BatchNorm1d(width)
        )
        self.prediction = normed_projector(dimension + width, [dimension])

    @in_float32
    def forward(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        return self.prediction(torch.cat((embeddings, self.parameters_embedding(transformation)), dim=1))


class EquiMod(Method):
    """The equivariance module beside a base method, which a subclass adds and which sees the augmented views only.

    The loss is that of the base method + equivariance * NT-Xent between both views and their predictions.
    """

    term_names = {"repr_loss_inv": "invariance", "repr_loss_equi": "equivariance"}
    view_count = 3
    target_views = (1, 2)
    predictor: nn.Module

    def __init__(self, config: EquiModConfig, dimensions: Dimensions, embedding_dimension: int) -> None:
        super().__init__(dimensions, embedding_dimension)
        self.groups = tuple(config.groups)
        self.equivariance = config.equivariance
        self.equivariant_temperature = config.equivariant_temperature
        self.equivariant_projector = normed_projector(dimensions.representation, config.equivariant_projector)
        self.predictor = ParameterPredictor(config)

    def relations(self) -> tuple[Relation, ...]:
        """Returns the relations from the original to both augmented views."""
        return Relation(0, 1, self.groups), Relation(0, 2, self.groups)

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        return self.equivariant_projector(representations)

    @abstractmethod
    def base_loss(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Computes the base method's loss, and its embeddings of the augmented views, gathered."""

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: repr_loss_inv + equivariance * repr_loss_equi."""
        invariant, embeddings = self.base_loss(batch)
        original, first, second = self.equivariant_projector(torch.cat(batch.views)).chunk(3)
        steered = self.predictor(torch.cat((original, original)), torch.cat(batch.transformations))
        first, second, *steered = gather_each(first, second, *steered.chunk(2))
        equivariant = contrastive_loss(
            torch.cat((first, second)), torch.cat(steered), self.equivariant_temperature
        )
        loss = invariant + self.equivariance * equivariant
        terms = {"loss": loss, "repr_loss_inv": invariant, "repr_loss_equi": equivariant}
        return Outcome(terms, embeddings)


@register("equimod_simclr", EquiModSimCLRConfig)
class EquiModSimCLR(EquiMod):
    """EquiMod on SimCLR."""

    title = "EquiMod on SimCLR, on augmentations"
    baseline = "simclr"

    def __init__(self, config: EquiModSimCLRConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, config.projector[-1])
        self.temperature = config.temperature
        self.projector = normed_projector(dimensions.representation, config.projector)

    def base_loss(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Computes NT-Xent of both augmented views."""
        first, second = gather_each(*self.projector(torch.cat(batch.views[1:])).chunk(2))
        return contrastive_loss(first, second, self.temperature), (first, second)


@register("equimod_byol", EquiModBYOLConfig)
class EquiModBYOL(EquiMod):
    """EquiMod on BYOL; the module has no target network."""

    title = "EquiMod on BYOL, on augmentations"
    baseline = "byol"

    def __init__(self, config: EquiModBYOLConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, config.projector[-1])
        width = config.projector[-1]
        self.base_momentum = config.momentum
        self.projector = normed_projector(dimensions.representation, config.projector, last="bias")
        self.prediction = normed_projector(width, (config.prediction_width, width), last="bias")
        self.target_projector = frozen_copy(self.projector)

    def update_targets(self, momentum: float) -> None:
        update_ema(self.target_projector, self.projector, momentum)

    def base_loss(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Computes squared distances on the sphere between predictions and the target's embeddings of the other view."""
        assert batch.targets is not None
        embeddings = self.projector(torch.cat(batch.views[1:]))
        with torch.no_grad():
            targets = self.target_projector(torch.cat(batch.targets)).chunk(2)
        forth, back = self.prediction(embeddings).chunk(2)
        forth, back, first, second, target_first, target_second = gather_each(
            forth, back, *embeddings.chunk(2), *targets
        )
        loss = alignment_loss(forth, target_second) + alignment_loss(back, target_first)
        return loss, (first, second)


@register("equimod_barlow", EquiModBarlowConfig)
class EquiModBarlow(EquiMod):
    """EquiMod on Barlow Twins (arXiv 2103.03230)."""

    title = "EquiMod on Barlow Twins, on augmentations"

    def __init__(self, config: EquiModBarlowConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, config.projector[-1])
        self.redundancy = config.redundancy
        self.projector = normed_projector(dimensions.representation, config.projector)

    def base_loss(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Computes how far the cross-correlation of both augmented views is from the identity."""
        first, second = gather_each(*self.projector(torch.cat(batch.views[1:])).chunk(2))
        return redundancy_loss(first, second, self.redundancy), (first, second)
