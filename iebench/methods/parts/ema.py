"""Target networks: slow copies that follow a network and never learn by gradients (BYOL, arXiv 2006.07733)."""

import copy
import math

import torch
from torch import Tensor, nn


def frozen_copy(network: nn.Module) -> nn.Module:
    """A copy without gradients."""
    return copy.deepcopy(network).requires_grad_(False)


@torch.no_grad()
def update_ema(target: nn.Module, network: nn.Module, momentum: float) -> None:
    """Moves the target's parameters: momentum * target + (1 - momentum) * network.

    Buffers, such as batch norm's running statistics, are the target's own.
    """
    slow: list[Tensor] = list(target.parameters())
    fast: list[Tensor] = list(network.parameters())
    torch._foreach_lerp_(slow, fast, 1 - momentum)


def cosine_momentum(base: float, progress: float) -> float:
    """From ``base`` at the start to 1 at the end of training (BYOL, section 3.3).

    Args:
        base: Momentum at the start, in [0, 1].
        progress: share of the training that is done, in [0, 1].
    """
    return 1 - (1 - base) * (math.cos(math.pi * progress) + 1) / 2
