"""How good predicted transformations are."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def r2_score(predicted: Tensor, expected: Tensor) -> float:
    """Coefficient of determination, the mean over target dimensions; 1 is perfect, 0 is predicting the mean.

    Args:
        predicted: (pairs, dimension).
        expected: (pairs, dimension).
    """
    return r2(predicted, expected).item()


def r2(predicted: Tensor, expected: Tensor) -> Tensor:
    """As ``r2_score``, left on its device."""
    residual = (expected - predicted).double().pow(2).sum(dim=0)
    total = (expected - expected.mean(dim=0)).double().pow(2).sum(dim=0)
    return (1 - residual / total).mean()


def median_angle_degrees(predicted: Tensor, expected: Tensor) -> float:
    """Median angle between rotations given as quaternions, in degrees, in [0, 180].

    Args:
        predicted: (pairs, 4), of any length.
        expected: (pairs, 4), unit quaternions.
    """
    cosine = (F.normalize(predicted.double(), dim=1) * expected.double()).sum(dim=1).abs().clamp(max=1)
    return math.degrees(2 * torch.acos(cosine).median().item())
