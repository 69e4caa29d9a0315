"""The terms of losses, as pure functions of embeddings (batch, dimension), with a whole batch of at least 2.

All are computed in float32 at least, since bfloat16 would drown variances and covariances in rounding.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.methods.parts.full_precision import in_float32

VARIANCE_EPSILON = 1e-4
COLLAPSE_TERM_NAMES = {"std_loss": "variance", "cov_loss": "covariance"}
"""Words for the terms of ``collapse_terms`` in reports."""


@in_float32
def invariance_loss(first: Tensor, second: Tensor) -> Tensor:
    """Computes the mean squared error between the embeddings of both views (VICReg, arXiv 2105.04906, eq. 5)."""
    return F.mse_loss(first, second)


@in_float32
def variance_loss(embeddings: Tensor) -> Tensor:
    """Computes the hinge that keeps each column's standard deviation at 1 or above (VICReg, eq. 1 and 2)."""
    deviation = torch.sqrt(embeddings.var(dim=0) + VARIANCE_EPSILON)
    return F.relu(1 - deviation).mean()


@in_float32
def covariance_loss(embeddings: Tensor) -> Tensor:
    """Computes the sum of squared covariances between different columns, over their number (VICReg, eq. 3 and 4)."""
    centered = embeddings - embeddings.mean(dim=0)
    batch, dimension = centered.shape
    covariance = centered.T @ centered / (batch - 1)
    return (covariance.pow(2).sum() - covariance.diagonal().pow(2).sum()) / dimension


def collapse_terms(views: Sequence[Tensor]) -> dict[str, Tensor]:
    """Computes VICReg's two terms against collapse: the mean variance loss and the summed covariance loss of two views."""
    first, second = views
    return {
        "std_loss": (variance_loss(first) + variance_loss(second)) / 2,
        "cov_loss": covariance_loss(first) + covariance_loss(second),
    }


@in_float32
def contrastive_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """Computes NT-Xent, by which each embedding finds its partner among all others (SimCLR, arXiv 2002.05709, eq. 1).

    Row i of ``first`` is the partner of row i of ``second``; ``temperature`` divides the cosine similarities.
    """
    embeddings = F.normalize(torch.cat((first, second)), dim=1)
    similarity = embeddings @ embeddings.T / temperature
    itself = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
    rows = torch.arange(len(first), device=similarity.device)
    partners = torch.cat((rows + len(first), rows))
    return F.cross_entropy(similarity.masked_fill(itself, float("-inf")), partners)


@in_float32
def alignment_loss(first: Tensor, second: Tensor) -> Tensor:
    """Computes the mean squared distance between normalized embeddings, in [0, 4] (BYOL, arXiv 2006.07733, eq. 2)."""
    return (F.normalize(first, dim=1) - F.normalize(second, dim=1)).pow(2).sum(dim=1).mean()


@in_float32
def redundancy_loss(first: Tensor, second: Tensor, off_diagonal: float) -> Tensor:
    """Computes how far the cross-correlation of two views is from the identity (Barlow Twins, arXiv 2103.03230, eq. 1).

    ``off_diagonal`` weighs the numbers off the diagonal, by 0.0051 in the paper.
    """
    first, second = (F.batch_norm(view, None, None, training=True) for view in (first, second))
    correlation = first.T @ second / len(first)
    on = (correlation.diagonal() - 1).pow(2).sum()
    off = correlation.pow(2).sum() - correlation.diagonal().pow(2).sum()
    return on + off_diagonal * off


@in_float32
def uniformity_loss(embeddings: Tensor, sharpness: float = 2.0) -> Tensor:
    """Computes the log of the mean Gaussian potential of pairs on the sphere (Wang and Isola, arXiv 2005.10242, 4.1.2).

    The loss is 0 if all embeddings are the same, and smaller the more evenly they are spread; ``sharpness`` is the
    paper's t, a factor of the squared distances.
    """
    normalized = F.normalize(embeddings, dim=1)
    rows, columns = torch.triu_indices(len(normalized), len(normalized), 1, device=normalized.device)
    squared_distances = 2 - 2 * (normalized @ normalized.T)[rows, columns]
    return (-sharpness * squared_distances).logsumexp(dim=0) - math.log(len(rows))


@in_float32
def regression_loss(predicted: Tensor, expected: Tensor) -> Tensor:
    """Computes the mean squared error of predicted numbers (batch, numbers)."""
    return F.mse_loss(predicted, expected)


@in_float32
def classification_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Computes the cross-entropy of logits (batch, classes) with labels (batch,)."""
    return F.cross_entropy(logits, labels)
