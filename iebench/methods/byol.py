"""BYOL: Bootstrap Your Own Latent (Grill et al., NeurIPS 2020, arXiv 2006.07733)."""

import torch

from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.ema import frozen_copy, update_ema
from iebench.methods.parts.fields import Momentum, PredictionWidth, Widths
from iebench.methods.parts.gather import gather_each
from iebench.methods.parts.losses import alignment_loss
from iebench.methods.parts.projectors import mlp_projector


class BYOLConfig(MethodConfig):
    """Fields of BYOL in a recipe; the momentum is the published one."""

    projector: Widths = [2048, 2048, 2048]
    prediction_width: PredictionWidth = 2048
    momentum: Momentum = 0.996


@register("byol", BYOLConfig)
class BYOL(Method):
    """Predicts, from one view's embedding, the other view's embedding by a slow target network."""

    title = "BYOL"

    def __init__(self, config: BYOLConfig, dimensions: Dimensions) -> None:
        width = config.projector[-1]
        super().__init__(dimensions, width)
        self.base_momentum = config.momentum
        self.projector = mlp_projector(dimensions.representation, config.projector)
        self.prediction = mlp_projector(width, (config.prediction_width, width))
        self.target_projector = frozen_copy(self.projector)

    def update_targets(self, momentum: float) -> None:
        update_ema(self.target_projector, self.projector, momentum)

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: squared distances on the sphere, with each view as the target once."""
        assert batch.targets is not None
        first, second = (self.projector(view) for view in batch.views)
        with torch.no_grad():
            targets = [self.target_projector(view) for view in batch.targets]
        forth, back, first, second, target_first, target_second = gather_each(
            self.prediction(first), self.prediction(second), first, second, *targets
        )
        loss = alignment_loss(forth, target_second) + alignment_loss(back, target_first)
        return Outcome({"loss": loss}, (first, second))
