"""Steerable Equivariant Representations (Bhardwaj et al., 2023, arXiv 2302.11349).

Only the paper's abstract could be read: learned linear maps steer an embedding, in supervised and self-supervised
settings. The loss and its weights are this project's.
"""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from iebench.methods.method import Batch, Dimensions, MethodConfig, Outcome, register
from iebench.methods.parts.fields import Groups, Weight, Widths
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import alignment_loss, classification_loss, uniformity_loss
from iebench.methods.parts.predictors import PredictorConfig
from iebench.methods.parts.steered import SteeringMethod


class SteerableConfig(MethodConfig):
    """Fields of steerable representations in a recipe."""

    projector: Widths = [2048, 2048, 2048]
    groups: Groups = ["rotation"]
    predictor: PredictorConfig = PredictorConfig(kind="steer")
    space: Literal["embedding", "representation"] = Field(
        default="embedding", description="what is steered; a representation has no projector"
    )
    supervision: Weight = Field(default=0.0, description="weight of the classes; 0 learns without them")
    equivariance: Weight = Field(
        default=1.0, description="weight of the distance between prediction and view"
    )
    uniformity: Weight = Field(default=1.0, description="weight of the uniformity, which prevents collapse")


@register("steerable", SteerableConfig)
class Steerable(SteeringMethod):
    """Steers an embedding to that of the other view by learned linear maps of the transformation.

    The maps of several groups are applied one after another.
    """

    title = "A steerable representation"
    baseline = "simclr"
    term_names = {
        "repr_loss_equi": "equivariance",
        "uniformity_loss": "uniformity",
        "class_loss": "classification",
    }

    def __init__(self, config: SteerableConfig, dimensions: Dimensions) -> None:
        projector = config.projector if config.space == "embedding" else []
        super().__init__(dimensions, projector, config.groups, config.predictor)
        self.config = config
        width = self.embedding_dimension
        self.classifier = nn.Linear(width, dimensions.classes) if config.supervision else None

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: equivariance * repr_loss_equi + uniformity * uniformity_loss + supervision * class_loss."""
        first, second, predicted = self.steer(batch)
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
