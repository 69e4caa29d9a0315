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
    """The contrast of SimCLR, and an MLP that regresses the transformation between two representations."""

    title = "AugSelf"
    baseline = "simclr"
    term_names = {"repr_loss_inv": "invariance", "repr_loss_equi": "equivariance"}

    def __init__(self, config: AugSelfConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.equivariance = config.equivariance
        self.groups = tuple(config.groups)
        contrast = SimCLRConfig(name="simclr", projector=config.projector, temperature=config.temperature)
        self.contrast = SimCLR(contrast, dimensions)
        width = 2 * dimensions.representation
        self.regressor = mlp((width, width, width, sum(DIMENSIONS[group] for group in config.groups)))

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: that of SimCLR + equivariance * repr_loss_equi."""
        contrast = self.contrast(batch)
        invariant = contrast.terms["loss"]
        regressed = self.regressor(torch.cat(batch.views, dim=1))
        equivariant = regression_loss(*gather_each(regressed, batch.transformation))
        loss = invariant + self.equivariance * equivariant
        terms = {"loss": loss, "repr_loss_inv": invariant, "repr_loss_equi": equivariant}
        return Outcome(terms, contrast.embeddings)
