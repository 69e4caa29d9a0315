"""The terms that losses are made of: pure functions of embeddings.

Embeddings are (batch, dimension), already gathered from all processes. Everything is computed in float32 at
least, whatever autocast is on: products of many numbers in bfloat16 would drown variances and covariances.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.methods.parts.full_precision import in_float32

VARIANCE_EPSILON = 1e-4


@in_float32
def invariance_loss(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared error between two batches of embeddings (VICReg, arXiv 2105.04906, eq. 5).

    Args:
        first: (batch, dimension).
        second: (batch, dimension).
    """
    return F.mse_loss(first, second)


@in_float32
def variance_loss(embeddings: Tensor) -> Tensor:
    """Hinge that keeps each dimension's standard deviation at 1 or above (VICReg, eq. 1 and 2).

    Args:
        embeddings: (batch, dimension), batch of at least 2.
    """
    deviation = torch.sqrt(embeddings.var(dim=0) + VARIANCE_EPSILON)
    return F.relu(1 - deviation).mean()


@in_float32
def covariance_loss(embeddings: Tensor) -> Tensor:
    """Sum of squared covariances between different dimensions, over the dimension (VICReg, eq. 3 and 4).

    Args:
        embeddings: (batch, dimension), batch of at least 2.
    """
    centred = embeddings - embeddings.mean(dim=0)
    batch, dimension = centred.shape
    covariance = centred.T @ centred / (batch - 1)
    return (covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()) / dimension


def collapse_terms(views: Sequence[Tensor]) -> dict[str, Tensor]:
    """What VICReg holds against collapse: variance, the mean of two views, and covariance, their sum.

    Args:
        views: the embeddings of both views, (batch, dimension) each.
    """
    first, second = views
    return {
        "std_loss": (variance_loss(first) + variance_loss(second)) / 2,
        "cov_loss": covariance_loss(first) + covariance_loss(second),
    }


@in_float32
def contrastive_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent: each embedding finds its partner among all others of both batches (SimCLR, arXiv 2002.05709, eq. 1).

    Args:
        first: (batch, dimension); row i is the partner of row i of ``second``.
        second: (batch, dimension).
        temperature: divides cosine similarities.
    """
    embeddings = F.normalize(torch.cat((first, second)), dim=1)
    similarity = embeddings @ embeddings.T / temperature
    itself = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    rows = torch.arange(len(first), device=similarity.device)
    partners = torch.cat((rows + len(first), rows))
    return F.cross_entropy(similarity.masked_fill(itself, float("-inf")), partners)


@in_float32
def alignment_loss(first: Tensor, second: Tensor) -> Tensor:
    """Mean squared distance between normalised embeddings, in [0, 4] (BYOL, arXiv 2006.07733, eq. 2).

    Args:
        first: (batch, dimension).
        second: (batch, dimension).
    """
    return (F.normalize(first, dim=1) - F.normalize(second, dim=1)).pow(2).sum(dim=1).mean()


@in_float32
def redundancy_loss(first: Tensor, second: Tensor, off_diagonal: float) -> Tensor:
    """How far the cross-correlation of two views is from the identity (Barlow Twins, arXiv 2103.03230, eq. 1).

    Args:
        first: (batch, dimension), batch of at least 2.
        second: (batch, dimension).
        off_diagonal: Weight of the numbers off the diagonal; 0.0051 in the paper.
    """
    first, second = (F.batch_norm(view, None, None, training=True) for view in (first, second))
    correlation = first.T @ second / len(first)
    on = (correlation.diagonal() - 1).pow(2).sum()
    off = correlation.pow(2).sum() - correlation.diagonal().pow(2).sum()
    return on + off_diagonal * off


@in_float32
def uniformity_loss(embeddings: Tensor, sharpness: float = 2.0) -> Tensor:
    """Logarithm of the mean Gaussian potential of pairs on the sphere (Wang and Isola, arXiv 2005.10242, sec. 4.1.2).

    0 where all embeddings are one, less the more evenly they are spread.

    Args:
        embeddings: (batch, dimension), batch of at least 2.
        sharpness: the paper's t.
    """
    normalised = F.normalize(embeddings, dim=1)
    rows, columns = torch.triu_indices(len(normalised), len(normalised), 1, device=normalised.device)
    squared_distances = 2 - 2 * (normalised @ normalised.T)[rows, columns]
    return (-sharpness * squared_distances).logsumexp(dim=0) - math.log(len(rows))


@in_float32
def regression_loss(predicted: Tensor, expected: Tensor) -> Tensor:
    """Mean squared error of predicted numbers (batch, numbers)."""
    return F.mse_loss(predicted, expected)


@in_float32
def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of (batch, classes) logits with (batch,) labels."""
    return F.cross_entropy(logits, labels)
