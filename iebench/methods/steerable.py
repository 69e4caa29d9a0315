"""Steerable Equivariant Representations (Bhardwaj et al., 2023, arXiv 2302.11349)."""

from pydantic import Field

from iebench.methods.method import Batch, EquivariantConfig, Outcome, Sizes, register
from iebench.methods.parts.losses import alignment_loss, uniformity_loss
from iebench.methods.parts.predictors import PredictorConfig
from iebench.methods.parts.steering import SteeringMethod


class SteerableConfig(EquivariantConfig):
    """What a recipe says about steerable representations."""

    predictor: PredictorConfig = PredictorConfig(kind="steer")
    equivariance: float = Field(default=1.0, ge=0)
    uniformity: float = Field(default=1.0, ge=0, description="against collapse")


@register("steerable", SteerableConfig)
class Steerable(SteeringMethod):
    """Learned linear maps, a function of the transformation, steer an embedding to that of the other view.

    Args:
        config: sizes, groups and weights.
        sizes: Sizes of representations.
    """

    def __init__(self, config: SteerableConfig, sizes: Sizes) -> None:
        super().__init__(config, sizes)
        self.config = config

    def forward(self, batch: Batch) -> Outcome:
        """The loss: equivariance * repr_loss_equi + uniformity * uniformity_loss."""
        first, second, predicted = self.steer(batch)
        terms = {
            "repr_loss_equi": alignment_loss(predicted, second),
            "uniformity_loss": (uniformity_loss(first) + uniformity_loss(second)) / 2,
        }
        loss = (
            self.config.equivariance * terms["repr_loss_equi"]
            + self.config.uniformity * terms["uniformity_loss"]
        )
        return Outcome({"loss": loss, **terms}, (first, second))
