"""EquiMod as the SIE paper uses it on renders: the module is told the rotation between two views (arXiv 2302.10283).

EquiMod as its authors published it is in ``equimod.py``.
"""

import torch
from pydantic import Field
from torch import Tensor

from iebench.methods.byol import BYOL, BYOLConfig
from iebench.methods.method import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.ema import frozen_copy, update_ema
from iebench.methods.parts.fields import Groups, Momentum, PredictionWidth, Temperature, Weight, Widths
from iebench.methods.parts.gather import gather
from iebench.methods.parts.losses import (
    COLLAPSE_TERM_NAMES,
    alignment_loss,
    collapse_terms,
    contrastive_loss,
    invariance_loss,
)
from iebench.methods.parts.predictors import PredictorConfig
from iebench.methods.parts.steered import SteeringMethod
from iebench.methods.simclr import SimCLR, SimCLRConfig
from iebench.methods.vicreg import VICReg, VICRegConfig, vicreg_loss


class RelativeEquiModConfig(MethodConfig):
    """Fields of the module in a recipe; the weight is that of the SIE paper."""

    groups: Groups = ["rotation"]
    predictor: PredictorConfig = PredictorConfig()
    equivariance: Weight = Field(default=0.45, description="weight of the module beside the base method")
    projector: Widths = [2048, 2048, 2048]


class RelativeEquiModSimCLRConfig(RelativeEquiModConfig):
    """Fields of EquiMod on SimCLR in a recipe; the temperature is that of the SIE paper."""

    temperature: Temperature = 0.1


class RelativeEquiModVICRegConfig(RelativeEquiModConfig):
    """Fields of EquiMod on VICReg in a recipe; the weights are those of the SIE paper."""

    similarity: Weight = Field(default=10.0, description="weight of the invariance of embeddings")
    std: Weight = Field(default=10.0, description="weight of the variance of embeddings")
    cov: Weight = Field(default=1.0, description="weight of the covariance of embeddings")
    free_dimension: int = Field(
        default=0, ge=0, description="columns at the end of the embedding that need not be invariant"
    )


class RelativeEquiModBYOLConfig(RelativeEquiModConfig):
    """Fields of EquiMod on BYOL in a recipe; the momentum is the published one."""

    prediction_width: PredictionWidth = 2048
    momentum: Momentum = 0.996


class RelativeEquiMod(SteeringMethod):
    """A second projector, and a predictor that steers its first embedding to the second view.

    Args:
        config: Fields of the recipe's section.
        dimensions: Sizes of the representations.
        base: The invariant method, with its own projector.
    """

    term_names = {"repr_loss_inv": "invariance", "repr_loss_equi": "equivariance"}

    def __init__(self, config: RelativeEquiModConfig, dimensions: Dimensions, base: Method) -> None:
        super().__init__(dimensions, config.projector, config.groups, config.predictor)
        self.equivariance = config.equivariance
        self.base = base
        self.embedding_dimension += base.embedding_dimension
        self.base_momentum = base.base_momentum

    def update_targets(self, momentum: float) -> None:
        """Moves the base method's target networks."""
        self.base.update_targets(momentum)


@register("equimod_simclr_3diebench", RelativeEquiModSimCLRConfig)
class RelativeEquiModSimCLR(RelativeEquiMod):
    """EquiMod on SimCLR: the prediction is contrasted as the base method's embeddings are."""

    title = "EquiMod on SimCLR"
    baseline = "simclr"

    def __init__(self, config: RelativeEquiModSimCLRConfig, dimensions: Dimensions) -> None:
        base = SimCLRConfig(name="simclr", projector=config.projector, temperature=config.temperature)
        super().__init__(config, dimensions, SimCLR(base, dimensions))
        self.temperature = config.temperature

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: that of SimCLR + equivariance * repr_loss_equi."""
        invariant = self.base(batch)
        first, second, predicted = self.steer(batch)
        equivariant = contrastive_loss(predicted, second, self.temperature)
        return _joined(
            invariant, equivariant, self.equivariance, {"repr_loss_equi": equivariant}, first, second
        )


@register("equimod_vicreg_3diebench", RelativeEquiModVICRegConfig)
class RelativeEquiModVICReg(RelativeEquiMod):
    """EquiMod on VICReg: the module's embeddings are kept from collapse as the base method's are."""

    title = "EquiMod on VICReg"
    baseline = "vicreg"
    term_names = {**RelativeEquiMod.term_names, **COLLAPSE_TERM_NAMES}

    def __init__(self, config: RelativeEquiModVICRegConfig, dimensions: Dimensions) -> None:
        base = VICRegConfig(
            name="vicreg",
            projector=config.projector,
            similarity=config.similarity,
            std=config.std,
            cov=config.cov,
            free_dimension=config.free_dimension,
        )
        super().__init__(config, dimensions, VICReg(base, dimensions))
        self.weights = base

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: that of VICReg + equivariance * that of VICReg between prediction and second view."""
        invariant = self.base(batch)
        first, second, predicted = self.steer(batch)
        module = {"repr_loss_equi": invariance_loss(predicted, second), **collapse_terms((first, second))}
        loss = vicreg_loss(module, self.weights, "repr_loss_equi")
        both = {name: value + invariant.terms.get(name, 0) for name, value in module.items()}
        terms = {"repr_loss_inv": invariant.terms["repr_loss_inv"], **both}
        return _joined(invariant, loss, self.equivariance, terms, first, second)


@register("equimod_byol_3diebench", RelativeEquiModBYOLConfig)
class RelativeEquiModBYOL(RelativeEquiMod):
    """EquiMod on BYOL: the prediction agrees with the target network's embedding of the second view."""

    title = "EquiMod on BYOL"
    baseline = "byol"

    def __init__(self, config: RelativeEquiModBYOLConfig, dimensions: Dimensions) -> None:
        base = BYOLConfig(
            name="byol",
            projector=config.projector,
            prediction_width=config.prediction_width,
            momentum=config.momentum,
        )
        super().__init__(config, dimensions, BYOL(base, dimensions))
        self.target_projector = frozen_copy(self.projector)

    def update_targets(self, momentum: float) -> None:
        """Moves the target projectors of base method and module."""
        super().update_targets(momentum)
        update_ema(self.target_projector, self.projector, momentum)

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: that of BYOL + equivariance * repr_loss_equi."""
        assert batch.targets is not None
        invariant = self.base(batch)
        first, second, predicted = self.steer(batch)
        with torch.no_grad():
            target = gather(self.target_projector(batch.targets[1]))
        equivariant = alignment_loss(predicted, target)
        return _joined(
            invariant, equivariant, self.equivariance, {"repr_loss_equi": equivariant}, first, second
        )


def _joined(
    invariant: Outcome, module: Tensor, weight: float, terms: dict[str, Tensor], first: Tensor, second: Tensor
) -> Outcome:
    """Adds the module's weighted loss to the base method's, and puts the embeddings of both side by side."""
    assert invariant.embeddings is not None
    embeddings = [
        torch.cat(parts, dim=1) for parts in zip(invariant.embeddings, (first, second), strict=True)
    ]
    base = {"repr_loss_inv": invariant.terms["loss"]}
    return Outcome(
        {"loss": invariant.terms["loss"] + weight * module, **base, **terms}, (embeddings[0], embeddings[1])
    )
