"""EquiMod as the SIE paper uses it on renders: the module is told the rotation between two views (arXiv 2302.10283).

EquiMod as its authors published it is in ``equimod.py``.
"""

import torch
from pydantic import Field
from torch import Tensor

from iebench.methods.byol import BYOL, BYOLConfig
from iebench.methods.method import Batch, Dimensions, EquivariantConfig, Method, Outcome, register
from iebench.methods.parts.ema import frozen_copy, update_ema
from iebench.methods.parts.gather import gather
from iebench.methods.parts.losses import alignment_loss, collapse_terms, contrastive_loss, invariance_loss
from iebench.methods.parts.steered import SteeringMethod
from iebench.methods.simclr import SimCLR, SimCLRConfig
from iebench.methods.vicreg import VICReg, VICRegConfig, vicreg_loss


class RelativeEquiModConfig(EquivariantConfig):
    """What a recipe says about the module; the weight is that of the SIE paper."""

    equivariance: float = Field(default=0.45, ge=0, description="weight of the module beside the base method")


class RelativeEquiModSimCLRConfig(RelativeEquiModConfig, SimCLRConfig):
    """EquiMod on SimCLR."""


class RelativeEquiModVICRegConfig(RelativeEquiModConfig, VICRegConfig):
    """EquiMod on VICReg."""


class RelativeEquiModBYOLConfig(RelativeEquiModConfig, BYOLConfig):
    """EquiMod on BYOL."""


class RelativeEquiMod(SteeringMethod):
    """A second projector, and a predictor that steers its first embedding to the second view.

    Args:
        config: sizes, groups and weights.
        dimensions: Dimensions of representations.
        base: the invariant method, with its own projector.
    """

    def __init__(self, config: RelativeEquiModConfig, dimensions: Dimensions, base: Method) -> None:
        super().__init__(config, dimensions)
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

    def __init__(self, config: RelativeEquiModSimCLRConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, SimCLR(config, dimensions))
        self.temperature = config.temperature

    def forward(self, batch: Batch) -> Outcome:
        """The loss: that of SimCLR + equivariance * repr_loss_equi."""
        invariant = self.base(batch)
        first, second, predicted = self.steer(batch)
        equivariant = contrastive_loss(predicted, second, self.temperature)
        return _joined(
            invariant, equivariant, self.equivariance, {"repr_loss_equi": equivariant}, first, second
        )


@register("equimod_vicreg_3diebench", RelativeEquiModVICRegConfig)
class RelativeEquiModVICReg(RelativeEquiMod):
    """EquiMod on VICReg: the module's embeddings are kept from collapse as the base method's are."""

    def __init__(self, config: RelativeEquiModVICRegConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, VICReg(config, dimensions))
        self.config = config

    def forward(self, batch: Batch) -> Outcome:
        """The loss: that of VICReg + equivariance * that of VICReg between prediction and second view."""
        invariant = self.base(batch)
        first, second, predicted = self.steer(batch)
        module = {"repr_loss_equi": invariance_loss(predicted, second), **collapse_terms((first, second))}
        loss = vicreg_loss(module, self.config, "repr_loss_equi")
        both = {name: value + invariant.terms.get(name, 0) for name, value in module.items()}
        terms = {"repr_loss_inv": invariant.terms["repr_loss_inv"], **both}
        return _joined(invariant, loss, self.equivariance, terms, first, second)


@register("equimod_byol_3diebench", RelativeEquiModBYOLConfig)
class RelativeEquiModBYOL(RelativeEquiMod):
    """EquiMod on BYOL: the prediction agrees with the target network's embedding of the second view."""

    def __init__(self, config: RelativeEquiModBYOLConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, BYOL(config, dimensions))
        self.target_projector = frozen_copy(self.projector)

    def update_targets(self, momentum: float) -> None:
        """Moves the target projectors of base method and module."""
        super().update_targets(momentum)
        update_ema(self.target_projector, self.projector, momentum)

    def forward(self, batch: Batch) -> Outcome:
        """The loss: that of BYOL + equivariance * repr_loss_equi."""
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
    """The base method's loss with the module's, and the embeddings of both side by side."""
    assert invariant.embeddings is not None
    embeddings = [
        torch.cat(parts, dim=1) for parts in zip(invariant.embeddings, (first, second), strict=True)
    ]
    base = {"repr_loss_inv": invariant.terms["loss"]}
    return Outcome(
        {"loss": invariant.terms["loss"] + weight * module, **base, **terms}, (embeddings[0], embeddings[1])
    )
