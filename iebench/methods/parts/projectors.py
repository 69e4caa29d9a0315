"""Projectors, which map a representation to the embedding on which a loss is computed."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import nn


def mlp_projector(input_dimension: int, widths: Sequence[int]) -> nn.Sequential:
    """Builds a linear map, batch norm and ReLU for each width but the last, which gets a linear map without bias.

    This is the expander of VICReg (arXiv 2105.04906, section 4.2).
    """
    layers: list[nn.Module] = []
    *hidden, last = (input_dimension, *widths)
    for width_in, width_out in pairwise(hidden):
        layers += [nn.Linear(width_in, width_out), nn.BatchNorm1d(width_out), nn.ReLU()]
    layers.append(nn.Linear(hidden[-1], last, bias=False))
    return nn.Sequential(*layers)


def normed_projector(
    input_dimension: int, widths: Sequence[int], last: Literal["norm", "bias"] = "norm"
) -> nn.Sequential:
    """Builds linear maps without bias, each followed by batch norm and ReLU except for the last.

    Args:
        input_dimension: Width of the representations.
        widths: Widths of the layers.
        last: Layer that follows the last map: a batch norm without affine parameters (EquiMod, arXiv 2211.01244; SimCLR v2),
            or only a bias (BYOL, arXiv 2006.07733).
    """
    layers: list[nn.Module] = []
    *hidden, width = (input_dimension, *widths)
    for width_in, width_out in pairwise(hidden):
        layers += [nn.Linear(width_in, width_out, bias=False), nn.BatchNorm1d(width_out), nn.ReLU()]
    if last == "bias":
        return nn.Sequential(*layers, nn.Linear(hidden[-1], width))
    return nn.Sequential(
        *layers, nn.Linear(hidden[-1], width, bias=False), nn.BatchNorm1d(width, affine=False)
    )


def mlp(widths: Sequence[int], bias: bool = True) -> nn.Sequential:
    """Builds linear maps with ReLU between them, of widths from the input's to the output's."""
    layers: list[nn.Module] = []
    for width_in, width_out in pairwise(widths):
        layers += [nn.Linear(width_in, width_out, bias=bias), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
