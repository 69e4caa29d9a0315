"""SIE: Split Invariant Equivariant representations (Garrido et al., ICML 2023, arXiv 2302.10283)."""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from iebench.criteria import covariance_loss, invariance_loss, variance_loss
from iebench.predictors import HypernetworkPredictor
from iebench.projectors import mlp_projector
from iebench.transformations import DIMENSIONS, Group


class SIEConfig(BaseModel):
    """What a recipe says about SIE; the defaults are the published ones."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Literal["sie"] = "sie"
    groups: list[Group] = Field(default=["rotation"], min_length=1)
    equivariant_dimension: int = Field(
        default=256, ge=1, description="of the representation; the rest is invariant"
    )
    projector: list[int] = Field(
        default=[2048, 2048, 2048], min_length=2, description="widths, shared out by part"
    )
    similarity: float = Field(default=10.0, ge=0)
    equivariance: float = Field(
        default=0.45, ge=0, description="weight of the equivariant part within similarity"
    )
    std: float = Field(default=10.0, ge=0)
    cov: float = Field(default=1.0, ge=0)


class SIE(nn.Module):
    """One part of the representation is trained to be invariant, the other to follow transformations.

    The loss is, with the published names of its terms::

        similarity * (repr_loss_inv + equivariance * repr_loss_equi)
            + std * (std_loss + pred_std_loss) + cov * cov_loss

    Args:
        config: sizes and coefficients.
        representation_dimension: of the backbone's output; its last ``equivariant_dimension`` numbers are
            the equivariant part.
    """

    def __init__(self, config: SIEConfig, representation_dimension: int) -> None:
        super().__init__()
        self.config = config
        equivariant = config.equivariant_dimension
        self.invariant_dimension = representation_dimension - equivariant
        equivariant_widths = [width * equivariant // representation_dimension for width in config.projector]
        invariant_widths = [
            width * self.invariant_dimension // representation_dimension for width in config.projector
        ]
        self.invariant_projector = mlp_projector(self.invariant_dimension, invariant_widths)
        self.equivariant_projector = mlp_projector(equivariant, equivariant_widths)
        transformation_dimension = sum(DIMENSIONS[group] for group in config.groups)
        self.predictor = HypernetworkPredictor(equivariant_widths[-1], transformation_dimension)

    def parts(self, representations: Tensor) -> dict[str, Tensor]:
        """The named parts of (batch, dimension) representations."""
        return {
            "invariant": representations[:, : self.invariant_dimension],
            "equivariant": representations[:, self.invariant_dimension :],
        }

    def equivariant_embeddings(self, representations: Tensor) -> Tensor:
        """The embeddings that the predictor steers, from (batch, dimension) representations."""
        return self.equivariant_projector(representations[:, self.invariant_dimension :])

    def forward(self, first: Tensor, second: Tensor, transformation: Tensor) -> dict[str, Tensor]:
        """The loss and its terms.

        Args:
            first: (batch, dimension) representations of the first views.
            second: likewise of the second.
            transformation: (batch, transformation dimension), from the first to the second.

        Returns:
            Scalars by name; ``loss`` is the one to minimise.
        """
        split = self.invariant_dimension
        invariant = [self.invariant_projector(view[:, :split]) for view in (first, second)]
        equivariant = [self.equivariant_projector(view[:, split:]) for view in (first, second)]
        predicted = self.predictor(equivariant[0], transformation)
        embeddings = [torch.cat(parts, dim=1) for parts in zip(invariant, equivariant, strict=True)]

        terms = {
            "repr_loss_inv": invariance_loss(*invariant),
            "repr_loss_equi": invariance_loss(predicted, equivariant[1]),
            "std_loss": (variance_loss(embeddings[0]) + variance_loss(embeddings[1])) / 2,
            "pred_std_loss": variance_loss(predicted) / 2,
            "cov_loss": covariance_loss(embeddings[0]) + covariance_loss(embeddings[1]),
        }
        config = self.config
        loss = (
            config.similarity * (terms["repr_loss_inv"] + config.equivariance * terms["repr_loss_equi"])
            + config.std * (terms["std_loss"] + terms["pred_std_loss"])
            + config.cov * terms["cov_loss"]
        )
        return {"loss": loss, **terms}
