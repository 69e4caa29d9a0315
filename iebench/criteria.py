"""The terms that losses are made of: pure functions of embeddings.

Embeddings are (batch, dimension). Statistics are computed in float32 at least, whatever autocast is on.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

VARIANCE_EPSILON = 1e-4


def invariance_loss(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared error between two batches of embeddings (VICReg, arXiv 2105.04906, eq. 5).

    Args:
        first: (batch, dimension).
        second: (batch, dimension).
    """
    return F.mse_loss(_at_least_float32(first), _at_least_float32(second))


def variance_loss(embeddings: Tensor) -> Tensor:
    """Hinge that keeps each dimension's standard deviation at 1 or above (VICReg, eq. 1 and 2).

    Args:
        embeddings: (batch, dimension), batch of at least 2.
    """
    deviation = torch.sqrt(_at_least_float32(embeddings).var(dim=0) + VARIANCE_EPSILON)
    return F.relu(1 - deviation).mean()


def covariance_loss(embeddings: Tensor) -> Tensor:
    """Sum of squared covariances between different dimensions, over the dimension (VICReg, eq. 3 and 4).

    Args:
        embeddings: (batch, dimension), batch of at least 2.
    """
    centred = _at_least_float32(embeddings)
    centred = centred - centred.mean(dim=0)
    batch, dimension = centred.shape
    covariance = centred.T @ centred / (batch - 1)
    return (covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()) / dimension


def _at_least_float32(embeddings: Tensor) -> Tensor:
    return embeddings if embeddings.dtype == torch.float64 else embeddings.float()
