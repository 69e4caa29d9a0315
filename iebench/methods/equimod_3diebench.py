"""EquiMod as the SIE paper uses it on renders: the module is told the rotation between two views (arXiv 2302.10283).

EquiMod as its authors published it is in ``equimod.py``.
"""

from abc import abstractmethod
from typing import TypeVar

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

C = TypeVar("C", bound=MethodConfig)


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
    """A base method with its own projector; beside it another projector, and a predictor that steers its embeddings."""

    term_names = {"repr_loss_inv": "invariance", "repr_loss_equi": "equivariance"}

    def __init__(self, config: RelativeEquiModConfig, dimensions: Dimensions, base: Method) -> None:
        super().__init__(dimensions, config.projector, config.groups, config.predictor)
        self.equivariance = config.equivariance
        self.base = base
        self.embedding_dimension += base.embedding_dimension
        self.base_momentum = base.base_momentum

    def update_targets(self, momentum: float) -> None:
        self.base.update_targets(momentum)

    @abstractmethod
    def own_terms(self, batch: Batch, first: Tensor, second: Tensor, predicted: Tensor) -> dict[str, Tensor]:
        """Computes the module's terms of its own embeddings of both views and the prediction of the second."""

    def own_loss(self, terms: dict[str, Tensor]) -> Tensor:
        """Computes the module's loss of its terms."""
        return terms["repr_loss_equi"]

    def forward(self, batch: Batch) -> Outcome:
        """Computes the loss: that of the base method + equivariance * that of the module.

        Terms that both have, such as ``std_loss``, are added up; ``repr_loss_inv`` is the base method's alone.
        """
        invariant, embeddings = self.base(batch)
        first, second, predicted = self.steer(batch)
        own = self.own_terms(batch, first, second, predicted)
        loss = invariant["loss"] + self.equivariance * self.own_loss(own)
        sums = {name: value + invariant.get(name, 0) for name, value in own.items()}
        terms = {"loss": loss, "repr_loss_inv": invariant.get("repr_loss_inv", invariant["loss"]), **sums}
        both = tuple(torch.cat(views, dim=1) for views in zip(embeddings, (first, second), strict=True))
        return Outcome(terms, both)


def base_config(kind: type[C], config: RelativeEquiModConfig) -> C:
    """Returns the configuration of the base method, whose fields are all among those of the module."""
    return kind(**config.model_dump(include=set(kind.model_fields)))


@register("equimod_simclr_3diebench", RelativeEquiModSimCLRConfig)
class RelativeEquiModSimCLR(RelativeEquiMod):
    """EquiMod on SimCLR: the prediction is contrasted as the base method's embeddings are."""

    title = "EquiMod on SimCLR"
    baseline = "simclr"

    def __init__(self, config: RelativeEquiModSimCLRConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, SimCLR(base_config(SimCLRConfig, config), dimensions))
        self.temperature = config.temperature

    def own_terms(self, batch: Batch, first: Tensor, second: Tensor, predicted: Tensor) -> dict[str, Tensor]:
        return {"repr_loss_equi": contrastive_loss(predicted, second, self.temperature)}


@register("equimod_vicreg_3diebench", RelativeEquiModVICRegConfig)
class RelativeEquiModVICReg(RelativeEquiMod):
    """EquiMod on VICReg: the module's embeddings are kept from collapse as the base method's are."""

    title = "EquiMod on VICReg"
    baseline = "vicreg"
    term_names = {**RelativeEquiMod.term_names, **COLLAPSE_TERM_NAMES}

    def __init__(self, config: RelativeEquiModVICRegConfig, dimensions: Dimensions) -> None:
        base = base_config(VICRegConfig, config)
        super().__init__(config, dimensions, VICReg(base, dimensions))
        self.weights = base

    def own_terms(self, batch: Batch, first: Tensor, second: Tensor, predicted: Tensor) -> dict[str, Tensor]:
        return {"repr_loss_equi": invariance_loss(predicted, second), **collapse_terms((first, second))}

    def own_loss(self, terms: dict[str, Tensor]) -> Tensor:
        return vicreg_loss(terms["repr_loss_equi"], terms, self.weights)


@register("equimod_byol_3diebench", RelativeEquiModBYOLConfig)
class RelativeEquiModBYOL(RelativeEquiMod):
    """EquiMod on BYOL: the prediction agrees with the target network's embedding of the second view."""

    title = "EquiMod on BYOL"
    baseline = "byol"

    def __init__(self, config: RelativeEquiModBYOLConfig, dimensions: Dimensions) -> None:
        super().__init__(config, dimensions, BYOL(base_config(BYOLConfig, config), dimensions))
        self.target_projector = frozen_copy(self.projector)

    def update_targets(self, momentum: float) -> None:
        super().update_targets(momentum)
        update_ema(self.target_projector, self.projector, momentum)

    def own_terms(self, batch: Batch, first: Tensor, second: Tensor, predicted: Tensor) -> dict[str, Tensor]:
        assert batch.targets is not None
        with torch.no_grad():
            target = gather(self.target_projector(batch.targets[1]))
        return {"repr_loss_equi": alignment_loss(predicted, target)}
