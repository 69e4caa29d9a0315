"""BYOL: Bootstrap Your Own Latent (Grill et al., NeurIPS 2020, arXiv 2006.07733)."""

import torch
from pydantic import Field

from iebench.methods.method import Batch, Dimensions, Method, Outcome, ProjectedConfig, register
from iebench.methods.parts.ema import frozen_copy, update_ema
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import alignment_loss
from iebench.methods.parts.projectors import mlp_projector


class BYOLConfig(ProjectedConfig):
    """What a recipe says about BYOL; the momentum is the published one."""

    prediction_width: int = Field(default=2048, ge=1, description="hidden, of the MLP after the projector")
    momentum: float = Field(default=0.996, ge=0, le=1, description="of the target network at the start")


@register("byol", BYOLConfig)
class BYOL(Method):
    """A prediction from one view's embedding agrees with the other view's embedding by a slow target network.

    Args:
        config: sizes and the momentum.
        dimensions: Dimensions of representations.
    """

    def __init__(self, config: BYOLConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions, config.projector[-1])
        self.config = config
        self.base_momentum = config.momentum
        width = config.projector[-1]
        self.projector = mlp_projector(dimensions.representation, config.projector)
        self.prediction = mlp_projector(width, (config.prediction_width, width))
        self.target_projector = frozen_copy(self.projector)

    def update_targets(self, momentum: float) -> None:
        """Moves the target projector after a step."""
        update_ema(self.target_projector, self.projector, momentum)

    def forward(self, batch: Batch) -> Outcome:
        """The loss: squared distance on the sphere, of both views in either role."""
        assert batch.targets is not None
        first, second = (self.projector(view) for view in (batch.first, batch.second))
        with torch.no_grad():
            targets = [self.target_projector(view) for view in batch.targets]
        forth, back = (self.prediction(embedding) for embedding in (first, second))
        forth, back, first, second, target_first, target_second = gather_each(
            forth, back, first, second, *targets
        )
        loss = alignment_loss(forth, target_second) + alignment_loss(back, target_first)
        return Outcome({"loss": loss}, (first, second))
