"""VICReg: variance, invariance and covariance regularisation (Bardes et al., ICLR 2022, arXiv 2105.04906)."""

from pydantic import Field
from torch import Tensor

from iebench.methods.method import Batch, Dimensions, Method, Outcome, ProjectedConfig, register
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import collapse_terms, invariance_loss
from iebench.methods.parts.projectors import mlp_projector
from shards.errors import UsageError


class VICRegConfig(ProjectedConfig):
    """What a recipe says about VICReg; the defaults are those of the SIE paper."""

    similarity: float = Field(default=10.0, ge=0)
    std: float = Field(default=10.0, ge=0)
    cov: float = Field(default=1.0, ge=0)
    free_dimension: int = Field(
        default=0, ge=0, description="numbers at the end of the embedding that need not be invariant"
    )


@register("vicreg", VICRegConfig)
class VICReg(Method):
    """Embeddings of both views agree, vary over the batch, and have dimensions that do not repeat one another.

    Args:
        config: sizes and coefficients.
        dimensions: Dimensions of representations.
    """

    def __init__(self, config: VICRegConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.config = config
        self.compared = config.projector[-1] - config.free_dimension
        if self.compared <= 0:
            raise UsageError(
                f"method.free_dimension = {config.free_dimension} leaves nothing of an embedding of "
                f"{config.projector[-1]} to be invariant; lower it"
            )
        self.projector = mlp_projector(dimensions.representation, config.projector)

    def forward(self, batch: Batch) -> Outcome:
        """The loss: similarity * repr_loss_inv + std * std_loss + cov * cov_loss."""
        first, second = gather_each(*(self.projector(view) for view in (batch.first, batch.second)))
        terms = {
            "repr_loss_inv": invariance_loss(first[:, : self.compared], second[:, : self.compared]),
            **collapse_terms((first, second)),
        }
        return Outcome({"loss": vicreg_loss(terms, self.config), **terms}, (first, second))


def vicreg_loss(terms: dict[str, Tensor], config: VICRegConfig, agreement: str = "repr_loss_inv") -> Tensor:
    """The weighted sum of VICReg's three terms.

    Args:
        terms: Terms of the loss by name, with ``std_loss`` and ``cov_loss``.
        config: the weights.
        agreement: the term that is weighted by ``similarity``.
    """
    return (
        config.similarity * terms[agreement] + config.std * terms["std_loss"] + config.cov * terms["cov_loss"]
    )
