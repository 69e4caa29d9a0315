"""VICReg: variance, invariance and covariance regularization (Bardes et al., ICLR 2022, arXiv 2105.04906)."""

from pydantic import Field
from torch import Tensor

from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.fields import Weight, Widths
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import COLLAPSE_TERM_NAMES, collapse_terms, invariance_loss
from iebench.methods.parts.projectors import mlp_projector
from shards.errors import UsageError


class VICRegConfig(MethodConfig):
    """Fields of VICReg in a recipe; the defaults are those of the SIE paper."""

    projector: Widths = [2048, 2048, 2048]
    similarity: Weight = Field(default=10.0, description="weight of the invariance of embeddings")
    std: Weight = Field(default=10.0, description="weight of the variance of embeddings")
    cov: Weight = Field(default=1.0, description="weight of the covariance of embeddings")
    free_dimension: int = Field(
        default=0, ge=0, description="columns at the end of the embedding that need not be invariant"
    )


@register("vicreg", VICRegConfig)
class VICReg(Method):
    """Makes the embeddings of both views agree, vary over the batch, and have columns that do not repeat each other."""

    title = "VICReg"
    term_names = {"repr_loss_inv": "invariance", **COLLAPSE_TERM_NAMES}

    def __init__(self, config: VICRegConfig, dimensions: Dimensions) -> None:
        width = config.projector[-1]
        super().__init__(dimensions, width)
        self.config = config
        self.compared = width - config.free_dimension
        if self.compared <= 0:
            raise UsageError(
                f"method.free_dimension = {config.free_dimension} leaves nothing of an embedding of "
                f"{width} to be invariant; lower it"
            )
        self.projector = mlp_projector(dimensions.representation, config.projector)

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: similarity * repr_loss_inv + std * std_loss + cov * cov_loss."""
        first, second = gather_each(*(self.projector(view) for view in batch.views))
        agreement = invariance_loss(first[:, : self.compared], second[:, : self.compared])
        terms = collapse_terms((first, second))
        loss = vicreg_loss(agreement, terms, self.config)
        return Outcome({"loss": loss, "repr_loss_inv": agreement, **terms}, (first, second))


def vicreg_loss(agreement: Tensor, terms: dict[str, Tensor], config: VICRegConfig) -> Tensor:
    """Computes the weighted sum of VICReg's three terms: ``agreement`` of two views, and those of ``collapse_terms``."""
    return config.similarity * agreement + config.std * terms["std_loss"] + config.cov * terms["cov_loss"]
