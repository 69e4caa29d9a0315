"""Predictors, which map an embedding and a transformation to the embedding of the transformed view.

They compute in float32, because bfloat16 would round a rotation by half a degree.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, Self

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from iebench.methods.parts.full_precision import in_float32
from iebench.methods.parts.projectors import mlp
from iebench.methods.parts.transformations import DIMENSIONS, Group


class PredictorConfig(BaseModel):
    """Fields of a predictor in a recipe; the defaults are SIE's (arXiv 2302.10283, section 4)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: Literal["hypernetwork", "mlp", "steer"] = Field(
        default="hypernetwork", description="kind of the predictor"
    )
    hidden: list[int] = Field(default=[], description="hidden widths between embedding and prediction")
    relu: bool = Field(
        default=False, description="whether ReLUs are between the maps that a hypernetwork generates"
    )
    bias: bool = Field(
        default=False, description="whether the maps that a hypernetwork generates have biases"
    )
    hypernetwork_hidden: list[int] = Field(
        default=[], description="hidden widths of the hypernetwork; without any it is linear"
    )
    hypernetwork_bias: bool = Field(default=False, description="whether the hypernetwork has biases")

    @model_validator(mode="after")
    def _has_no_idle_field(self) -> Self:
        used = {"mlp": {"kind", "hidden"}, "steer": {"kind"}}.get(self.kind, set(type(self).model_fields))
        idle = sorted(name for name in self.model_fields_set - used if getattr(self, name))
        if idle:
            raise ValueError(f"a predictor of kind {self.kind!r} has no {', '.join(idle)}")
        return self


class HypernetworkPredictor(nn.Module):
    """Maps embeddings by matrices that a network generates from the transformation.

    As published (SIE, arXiv 2302.10283, section 4) both are linear and without bias, so that the group acts
    linearly on the equivariant embedding.

    Args:
        dimension: Width of the embeddings.
        transformation_dimension: Number of values that describe a transformation: 4 for a rotation (quaternion), 6
            with two differences of hue.
        config: Fields of the predictor.
    """

    def __init__(
        self, dimension: int, transformation_dimension: int, config: PredictorConfig | None = None
    ) -> None:
        super().__init__()
        self.config = config or PredictorConfig()
        self.shapes = list(pairwise((dimension, *self.config.hidden, dimension)))
        numbers = sum(width_out * (width_in + self.config.bias) for width_in, width_out in self.shapes)
        widths = (transformation_dimension, *self.config.hypernetwork_hidden, numbers)
        self.weights = mlp(widths, self.config.hypernetwork_bias)

    @in_float32
    def forward(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        """Predicts where transformations (batch, transformation dimension) take embeddings (batch, dimension)."""
        if len(self.weights) == 1 and len(self.shapes) == 1 and not self.config.bias:
            return _steered(self.weights[0], embeddings, transformation)
        numbers = self.weights(transformation)
        start = 0
        for number, (width_in, width_out) in enumerate(self.shapes):
            stop = start + width_in * width_out
            matrices = numbers[:, start:stop].view(-1, width_out, width_in)
            embeddings = torch.bmm(matrices, embeddings.unsqueeze(2)).squeeze(2)
            start = stop
            if self.config.bias:
                start = stop + width_out
                embeddings = embeddings + numbers[:, stop:start]
            if self.config.relu and number + 1 < len(self.shapes):
                embeddings = F.relu(embeddings)
        return embeddings


class MLPPredictor(nn.Module):
    """An MLP that sees the transformation and the embedding side by side; its published hidden width is ``[dimension]``."""

    def __init__(self, dimension: int, transformation_dimension: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.layers = mlp((transformation_dimension + dimension, *hidden, dimension))

    @in_float32
    def forward(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        return self.layers(torch.cat((transformation, embeddings), dim=1))


class SteerPredictor(nn.Module):
    """Applies a linear map for each group of transformations, one after the other.

    The idea of Steerable Equivariant Representations (arXiv 2302.11349): each group's matrix is an affine
    function of its own parameters, which stand side by side in the order of ``groups``. It begins as the identity.
    """

    def __init__(self, dimension: int, groups: Sequence[Group]) -> None:
        super().__init__()
        self.sizes = [DIMENSIONS[group] for group in groups]
        self.maps = nn.ModuleList(nn.Linear(size, dimension * dimension) for size in self.sizes)
        for linear in self.maps:
            nn.init.normal_(linear.weight, std=0.1 / dimension**0.5)  # type: ignore[arg-type]
            with torch.no_grad():
                linear.bias.copy_(torch.eye(dimension).flatten())  # type: ignore[operator]

    @in_float32
    def forward(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        for linear, parameters in zip(self.maps, transformation.split(self.sizes, dim=1), strict=True):
            embeddings = _steered(linear, embeddings, parameters)
        return embeddings


def build_predictor(config: PredictorConfig, dimension: int, groups: Sequence[Group]) -> nn.Module:
    """Builds the predictor of a recipe for the transformations of ``groups``.

    It is called with embeddings (batch, ``dimension``) and transformations (batch, sum of the groups' dimensions), and
    returns embeddings (batch, ``dimension``).
    """
    transformation_dimension = sum(DIMENSIONS[group] for group in groups)
    if config.kind == "mlp":
        return MLPPredictor(dimension, transformation_dimension, config.hidden)
    if config.kind == "steer":
        return SteerPredictor(dimension, groups)
    return HypernetworkPredictor(dimension, transformation_dimension, config)


def _steered(maps: nn.Module, embeddings: Tensor, parameters: Tensor) -> Tensor:
    """Multiplies each embedding by its own matrix ``maps(parameters)``, without making all matrices."""
    assert isinstance(maps, nn.Linear)
    dimension = embeddings.shape[1]
    weights = maps.weight.view(dimension, dimension, -1)
    steered = torch.einsum("oip,bi,bp->bo", weights, embeddings, parameters)
    return steered if maps.bias is None else steered + embeddings @ maps.bias.view(dimension, dimension).T
