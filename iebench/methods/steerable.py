"""Steerable Equivariant Representations (Bhardwaj et al., 2023, arXiv 2302.11349).

Only the paper's abstract could be read: learned linear maps steer an embedding, in supervised and self-supervised
settings. The loss and its weights are ours.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from iebench.methods.method import Batch, Dimensions, EquivariantConfig, Method, Outcome, register
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import alignment_loss, classification_loss, uniformity_loss
from iebench.methods.parts.predictors import PredictorConfig, build_predictor
from iebench.methods.parts.projectors import mlp_projector


class SteerableConfig(EquivariantConfig):
    """What a recipe says about steerable representations."""

    predictor: PredictorConfig = PredictorConfig(kind="steer")
    space: Literal["embedding", "representation"] = Field(
        default="embedding", description="what is steered; a representation has no projector"
    )
    supervision: float = Field(default=0.0, ge=0, description="weight of the classes; 0 learns without them")
    equivariance: float = Field(default=1.0, ge=0)
    uniformity: float = Field(default=1.0, ge=0, description="against collapse")


@register("steerable", SteerableConfig)
class Steerable(Method):
    """Learned linear maps, a function of the transformation, steer an embedding to that of the other view.

    The maps of several groups are applied one after another.

    Args:
        config: sizes, groups and weights.
        dimensions: Dimensions of representations, and the number of classes.
    """

    predictor: nn.Module

    def __init__(self, config: SteerableConfig, dimensions: Dimensions) -> None:
        is_embedded = config.space == "embedding"
        width = config.projector[-1] if is_embedded else dimensions.representation
        super().__init__(dimensions, width)
        self.config = config
        self.groups = tuple(config.groups)
        self.projector = (
            mlp_projector(dimensions.representation, config.projector) if is_embedded else nn.Identity()
        )
        self.predictor = build_predictor(config.predictor, width, config.groups)
        self.classifier = nn.Linear(width, dimensions.classes) if config.supervision else None

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        """The embeddings of (batch, dimension) representations, or those as they are."""
        return self.projector(representations)

    def forward(self, batch: Batch) -> Outcome:
        """The loss: equivariance * repr_loss_equi + uniformity * uniformity_loss + supervision * class_loss."""
        first, second = (self.projector(view) for view in batch.views)
        predicted = self.predictor(first, batch.transformation)
        gathered = gather_each(first, second, predicted)
        first, second, predicted = gathered
        terms = {
            "repr_loss_equi": alignment_loss(predicted, second),
            "uniformity_loss": (uniformity_loss(first) + uniformity_loss(second)) / 2,
        }
        loss = (
            self.config.equivariance * terms["repr_loss_equi"]
            + self.config.uniformity * terms["uniformity_loss"]
        )
        if self.classifier is not None:
            assert batch.labels is not None
            (labels,) = gather_each(batch.labels.float())
            logits = self.classifier(torch.cat((first, second, predicted)))
            terms["class_loss"] = classification_loss(logits, labels.long().repeat(3))
            loss = loss + self.config.supervision * terms["class_loss"]
        return Outcome({"loss": loss, **terms}, (first, second))
