"""SimCLR (Chen et al., ICML 2020, arXiv 2002.05709), and the same contrast between prediction and second view."""

from pydantic import Field

from iebench.methods.method import (
    Batch,
    Dimensions,
    EquivariantConfig,
    Method,
    Outcome,
    ProjectedConfig,
    register,
)
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import contrastive_loss
from iebench.methods.parts.projectors import mlp_projector
from iebench.methods.parts.steered import SteeringMethod


class SimCLRConfig(ProjectedConfig):
    """What a recipe says about SimCLR; the temperature is that of the SIE paper."""

    temperature: float = Field(default=0.1, gt=0)


@register("simclr", SimCLRConfig)
class SimCLR(Method):
    """Each embedding finds the other view of its object among all embeddings of the batch.

    Args:
        config: sizes and the temperature.
        dimensions: Dimensions of representations.
    """

    def __init__(self, config: SimCLRConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.config = config
        self.projector = mlp_projector(dimensions.representation, config.projector)

    def forward(self, batch: Batch) -> Outcome:
        """The loss: NT-Xent of both views."""
        first, second = gather_each(*(self.projector(view) for view in (batch.first, batch.second)))
        return Outcome({"loss": contrastive_loss(first, second, self.config.temperature)}, (first, second))


class SimCLROnlyEquivariantConfig(EquivariantConfig, SimCLRConfig):
    """What a recipe says about the contrast with the predictor only."""


@register("simclr_only_equivariant", SimCLROnlyEquivariantConfig)
class SimCLROnlyEquivariant(SteeringMethod):
    """The first view's embedding, steered to the second view, finds it among all of the batch.

    Args:
        config: sizes, groups and the temperature.
        dimensions: Dimensions of representations.
    """

    def __init__(self, config: SimCLROnlyEquivariantConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions)
        self.temperature = config.temperature

    def forward(self, batch: Batch) -> Outcome:
        """The loss: NT-Xent between prediction and second view."""
        first, second, predicted = self.steer(batch)
        return Outcome({"loss": contrastive_loss(predicted, second, self.temperature)}, (first, second))
