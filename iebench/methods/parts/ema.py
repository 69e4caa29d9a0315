"""Target networks, which are exponential moving averages (EMA) of a network (BYOL, arXiv 2006.07733)."""

import copy
import math

import torch
from torch import nn


def frozen_copy(network: nn.Module) -> nn.Module:
    """Copies a network without gradients."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def update_ema(target: nn.Module, network: nn.Module, momentum: float) -> None:
    """Updates the target's parameters to momentum * target + (1 - momentum) * network.

    Buffers, such as batch norm's running statistics, are the target's own.
    """
    torch._foreach_lerp_(tuple(target.parameters()), tuple(network.parameters()), 1 - momentum)


def cosine_momentum(base: float, progress: float) -> float:
    """Computes the momentum, which rises from ``base`` to 1 with ``progress`` from 0 to 1 (BYOL, section 3.3)."""
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2
