"""SIE: Split Invariant Equivariant representations (Garrido et al., ICML 2023, arXiv 2302.10283)."""

import torch
from pydantic import Field
from torch import Tensor, nn

from iebench.methods.method import Batch, Dimensions, EquivariantConfig, Method, Outcome, register
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import collapse_terms, invariance_loss, variance_loss
from iebench.methods.parts.predictors import build_predictor
from iebench.methods.parts.projectors import mlp_projector
from shards.errors import UsageError


class SIEConfig(EquivariantConfig):
    """What a recipe says about SIE; the defaults are the published ones."""

    name: str = "sie"
    equivariant_dimension: int = Field(
        default=256, ge=1, description="of the representation; the rest is invariant"
    )
    only_equivariant: bool = Field(default=False, description="the whole representation is equivariant")
    projector: list[int] = Field(
        default=[2048, 2048, 2048], min_length=2, description="widths, shared out by part"
    )
    similarity: float = Field(default=10.0, ge=0)
    equivariance: float = Field(
        default=0.45, ge=0, description="weight of the equivariant part within similarity"
    )
    std: float = Field(default=10.0, ge=0)
    cov: float = Field(default=1.0, ge=0)
    prediction_variance: bool = Field(default=True, description="whether predictions are kept from collapse")


@register("sie", SIEConfig)
class SIE(Method):
    """One part of the representation is trained to be invariant, the other to follow transformations.

    The loss is, with the published names of its terms::

        similarity * (repr_loss_inv + equivariance * repr_loss_equi)
            + std * (std_loss + pred_std_loss) + cov * cov_loss

    Args:
        config: sizes and coefficients.
        dimensions: Dimensions of representations; their last ``equivariant_dimension`` numbers are the equivariant part.
    """

    predictor: nn.Module

    def __init__(self, config: SIEConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.config = config
        self.groups = tuple(config.groups)
        whole = dimensions.representation
        equivariant = whole if config.only_equivariant else config.equivariant_dimension
        self.invariant_dimension = whole - equivariant
        if self.invariant_dimension <= 0 and not config.only_equivariant:
            raise UsageError(
                f"method.equivariant_dimension = {equivariant} leaves nothing for the invariant part of a "
                f"representation of {whole}"
            )
        if self.invariant_dimension:
            widths = shared_out(config.projector, self.invariant_dimension, whole)
            self.invariant_projector = mlp_projector(self.invariant_dimension, widths)
        widths = shared_out(config.projector, equivariant, whole)
        self.equivariant_projector = mlp_projector(equivariant, widths)
        self.predictor = build_predictor(config.predictor, widths[-1], config.groups)

    def parts(self) -> dict[str, tuple[int, int]]:
        """Columns of the whole representation and of its two parts."""
        split, whole = self.invariant_dimension, self.dimensions.representation
        parts = {"invariant": (0, split), "equivariant": (split, whole)} if split else {}
        return {**super().parts(), **parts}

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        """The embeddings of the equivariant part of (batch, dimension) representations."""
        return self.equivariant_projector(representations[:, self.invariant_dimension :])

    def forward(self, batch: Batch) -> Outcome:
        """The loss and its terms."""
        views = (batch.first, batch.second)
        equivariant = [self.steered_embeddings(view) for view in views]
        predicted = self.predictor(equivariant[0], batch.transformation)
        split = self.invariant_dimension
        invariant = [self.invariant_projector(view[:, :split]) for view in views] if split else []
        predicted, first, second, *invariant = gather_each(predicted, *equivariant, *invariant)
        equivariant = [first, second]
        terms = {"repr_loss_inv": predicted.new_zeros(())}
        if invariant:
            terms = {"repr_loss_inv": invariance_loss(*invariant)}
            first, second = (torch.cat(parts, dim=1) for parts in zip(invariant, equivariant, strict=True))

        terms["repr_loss_equi"] = invariance_loss(predicted, equivariant[1])
        terms |= collapse_terms((first, second))
        if self.config.prediction_variance:
            terms["pred_std_loss"] = variance_loss(predicted) / 2
        return Outcome({"loss": self.loss(terms), **terms}, (first, second))

    def loss(self, terms: dict[str, Tensor]) -> Tensor:
        """The weighted sum of the terms."""
        config = self.config
        similarity = terms["repr_loss_inv"] + config.equivariance * terms["repr_loss_equi"]
        variance = terms["std_loss"] + terms.get("pred_std_loss", 0)
        return config.similarity * similarity + config.std * variance + config.cov * terms["cov_loss"]


def shared_out(widths: list[int], part: int, whole: int) -> list[int]:
    """A projector's widths for a part of the representation, by its share.

    Raises:
        UsageError: they do not divide.
    """
    uneven = [width for width in widths if width * part % whole]
    if uneven:
        raise UsageError(
            f"method.projector: a width of {uneven[0]} cannot be shared out to {part} of the {whole} numbers of the "
            "representation; choose widths that divide"
        )
    return [width * part // whole for width in widths]
