"""Supervised upper bounds: networks trained on the classes, or on the transformations between views."""

from typing import Literal

import torch
from pydantic import Field
from torch import nn

from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.fields import Groups
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import classification_loss, regression_loss
from iebench.methods.parts.projectors import mlp
from iebench.methods.parts.transformations import DIMENSIONS


class SupervisedConfig(MethodConfig):
    """Fields of supervision in a recipe."""

    task: Literal["class", "transformation"] = Field(
        default="class", description="what is learned: the class of a view, or the transformation between two"
    )
    groups: Groups = ["rotation"]


@register("supervised", SupervisedConfig)
class Supervised(Method):
    """Learns the classes of single views by a linear map, or the transformations between views by an MLP."""

    title = "A supervised network"

    def __init__(self, config: SupervisedConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions)
        self.head: nn.Module
        if config.task == "class":
            self.head = nn.Linear(dimensions.representation, dimensions.classes)
        else:
            self.groups = tuple(config.groups)
            width = 2 * dimensions.representation
            self.head = mlp((width, width, width, sum(DIMENSIONS[group] for group in config.groups)))

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: cross-entropy of both views, or the squared error of the transformation."""
        if self.groups:
            regressed = self.head(torch.cat(batch.views, dim=1))
            return Outcome({"loss": regression_loss(*gather_each(regressed, batch.transformation))})
        assert batch.labels is not None
        logits = self.head(torch.cat(batch.views))
        logits, labels = gather_each(logits, batch.labels.repeat(len(batch.views)).float())
        return Outcome({"loss": classification_loss(logits, labels.long())})
