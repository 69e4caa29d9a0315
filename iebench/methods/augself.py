"""AugSelf: SimCLR that also predicts the transformation from both views (Lee et al., NeurIPS 2021, arXiv 2111.09613)."""

import torch
from pydantic import Field

from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.fields import Groups, Temperature, Weight, Widths
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import regression_loss
from iebench.methods.parts.projectors import mlp
from iebench.methods.parts.transformations import DIMENSIONS
from iebench.methods.simclr import SimCLR, SimCLRConfig


class AugSelfConfig(MethodConfig):
    """Fields of AugSelf in a recipe; the temperature is that of the SIE paper."""

    projector: Widths = [2048, 2048, 2048]
    temperature: Temperature = 0.1
    groups: Groups = ["rotation"]
    equivariance: Weight = Field(default=1.0, description="weight of the regression beside the contrast")


@register("augself", AugSelfConfig)
class AugSelf(Method):
    """The contrast of SimCLR, and an MLP that regresses the transformation between two representations.

    Args:
        config: Fields of the recipe's section.
        dimensions: Sizes of the representations; the MLP's hidden layers are twice as wide.
    """

    title = "AugSelf"
    baseline = "simclr"
    term_names = {"repr_loss_inv": "invariance", "repr_loss_equi": "equivariance"}

    def __init__(self, config: AugSelfConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.config = config
        self.groups = tuple(config.groups)
        contrast = SimCLRConfig(name="simclr", projector=config.projector, temperature=config.temperature)
        self.contrast = SimCLR(contrast, dimensions)
        width = 2 * dimensions.representation
        self.regressor = mlp((width, width, width, sum(DIMENSIONS[group] for group in config.groups)))

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: that of SimCLR + equivariance * repr_loss_equi."""
        loss, embeddings = self.contrast(batch)
        regressed = self.regressor(torch.cat((batch.first, batch.second), dim=1))
        terms = {
            "repr_loss_inv": loss["loss"],
            "repr_loss_equi": regression_loss(*gather_each(regressed, batch.transformation)),
        }
        total = terms["repr_loss_inv"] + self.config.equivariance * terms["repr_loss_equi"]
        return Outcome({"loss": total, **terms}, embeddings)
