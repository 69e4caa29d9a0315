"""SIE: Split Invariant Equivariant representations (Garrido et al., ICML 2023, arXiv 2302.10283)."""

import torch
from pydantic import Field
from torch import Tensor, nn

from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.fields import Groups, Weight, Widths
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import COLLAPSE_TERM_NAMES, collapse_terms, invariance_loss, variance_loss
from iebench.methods.parts.predictors import PredictorConfig, build_predictor
from iebench.methods.parts.projectors import mlp_projector
from shards.errors import UsageError


class SIEConfig(MethodConfig):
    """Fields of SIE in a recipe; the defaults are the published ones."""

    name: str = Field(default="sie", description="name under which the method is registered")
    groups: Groups = ["rotation"]
    equivariant_dimension: int = Field(
        default=256,
        ge=1,
        description="columns of the representation that are equivariant; the rest is invariant",
    )
    only_equivariant: bool = Field(default=False, description="whether all columns are equivariant")
    projector: Widths = Field(
        default=[2048, 2048, 2048],
        description="widths of the projectors' layers, which both parts share by their columns",
    )
    predictor: PredictorConfig = PredictorConfig()
    similarity: Weight = Field(default=10.0, description="weight of invariance and equivariance together")
    equivariance: Weight = Field(default=0.45, description="weight of equivariance within similarity")
    std: Weight = Field(default=10.0, description="weight of the variance of embeddings and predictions")
    cov: Weight = Field(default=1.0, description="weight of the covariance of embeddings")
    prediction_variance: bool = Field(
        default=True, description="whether the loss has the variance of predictions"
    )


@register("sie", SIEConfig)
class SIE(Method):
    """Trains one part of the representation to be invariant, and the other to follow transformations.

    The loss is, with the published names of its terms::

        similarity * (repr_loss_inv + equivariance * repr_loss_equi)
            + std * (std_loss + pred_std_loss) + cov * cov_loss

    The last ``equivariant_dimension`` columns of the representations are the equivariant part.

    Raises:
        UsageError: The equivariant part leaves no invariant one, or the projector's widths do not divide.
    """

    title = "SIE"
    baseline = "vicreg"
    term_names = {
        "repr_loss_inv": "invariance",
        "repr_loss_equi": "equivariance",
        **COLLAPSE_TERM_NAMES,
        "pred_std_loss": "prediction variance",
    }
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
            widths = split_widths(config.projector, self.invariant_dimension, whole)
            self.invariant_projector = mlp_projector(self.invariant_dimension, widths)
        widths = split_widths(config.projector, equivariant, whole)
        self.equivariant_projector = mlp_projector(equivariant, widths)
        self.predictor = build_predictor(config.predictor, widths[-1], config.groups)

    def parts(self) -> dict[str, tuple[int, int]]:
        split, whole = self.invariant_dimension, self.dimensions.representation
        return {"invariant": (0, split), "equivariant": (split, whole)} if split else {}

    def steered_embeddings(self, representations: Tensor) -> Tensor:
        """Returns the embeddings of the equivariant part of representations (batch, dimension)."""
        return self.equivariant_projector(representations[:, self.invariant_dimension :])

    def forward(self, batch: Batch) -> Outcome:
        config = self.config
        equivariant = [self.steered_embeddings(view) for view in batch.views]
        predicted = self.predictor(equivariant[0], batch.transformation)
        split = self.invariant_dimension
        invariant = [self.invariant_projector(view[:, :split]) for view in batch.views] if split else []
        predicted, first, second, *invariant = gather_each(predicted, *equivariant, *invariant)
        terms = {
            "repr_loss_inv": invariance_loss(*invariant) if invariant else predicted.new_zeros(()),
            "repr_loss_equi": invariance_loss(predicted, second),
        }
        if invariant:
            first, second = torch.cat((invariant[0], first), dim=1), torch.cat((invariant[1], second), dim=1)
        terms |= collapse_terms((first, second))
        if config.prediction_variance:
            terms["pred_std_loss"] = variance_loss(predicted) / 2
        similarity = terms["repr_loss_inv"] + config.equivariance * terms["repr_loss_equi"]
        variance = terms["std_loss"] + terms.get("pred_std_loss", 0)
        loss = config.similarity * similarity + config.std * variance + config.cov * terms["cov_loss"]
        return Outcome({"loss": loss, **terms}, (first, second))


def split_widths(widths: list[int], part: int, whole: int) -> list[int]:
    """Scales a projector's widths to a part of the representation, by the part's share of the ``whole`` columns.

    Raises:
        UsageError: A width times ``part`` is not a multiple of ``whole``.
    """
    uneven = [width for width in widths if width * part % whole]
    if uneven:
        raise UsageError(
            f"method.projector: a width of {uneven[0]} cannot be split for {part} of the {whole} columns of the "
            "representation; choose widths that divide"
        )
    return [width * part // whole for width in widths]
