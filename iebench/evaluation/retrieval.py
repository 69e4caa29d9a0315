"""Retrieval metrics of a predictor: whether the steered embedding lies nearest to the view that it should become.

As in the SIE paper (arXiv 2302.10283, section 5.2): the first view of each object is steered by the
transformation to each of its views, itself included. MRR and H@k rank the object's own views, or the whole
gallery, by cosine similarity to the result; PRE is the rotation error of the nearest view of a whole gallery.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.evaluation.intervals import PerObject
from iebench.methods.parts.transformations import quaternion_from_euler

FIRST = 5
"""Number of views that are kept of each ranking, for pictures."""

SIMILARITIES_IN_MEMORY = 2**26
"""Number of similarities held in memory at once: 256 MiB in float32."""


@dataclass(frozen=True)
class GallerySearch:
    """Results of a search of a whole gallery for each query.

    Attributes:
        ranks: Ranks (queries,) float64 of the targets, 1 is best; equal views share their middle rank. Empty if the
            targets are not in the gallery.
        nearest: Rows (queries,) int64 of the most similar views.
        similarity: Cosine similarities (queries,) of the most similar views.
    """

    ranks: Tensor
    nearest: Tensor
    similarity: Tensor


def rank_views(steered: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks the views of each object by cosine similarity to its steered embeddings, in chunks of objects.

    Args:
        steered: Embeddings (objects, targets, dimension), of which target t is steered to view t.
        embeddings: Embeddings (objects, views, dimension) of the same objects.

    Returns:
        Ranks of the targets (objects, targets) float64, and the first views of each ranking (objects, targets,
        first) int64.
    """
    views = embeddings.shape[1]
    chunk = max(1, SIMILARITIES_IN_MEMORY // (views * views))
    targets = torch.arange(steered.shape[1], device=steered.device)
    ranks, ranked = [], []
    for queries, candidates in zip(steered.split(chunk), embeddings.split(chunk), strict=True):
        similarity = torch.einsum("otd,ovd->otv", F.normalize(queries, dim=2), F.normalize(candidates, dim=2))
        of_target = similarity[:, targets, targets][..., None]
        nearer = (similarity > of_target).sum(dim=2)
        tied = (similarity == of_target).sum(dim=2) - 1
        ranks.append(1 + nearer.double() + tied / 2)
        ranked.append(similarity.argsort(dim=2, descending=True, stable=True)[..., :FIRST])
    return torch.cat(ranks), torch.cat(ranked)


def search_gallery(
    steered: Iterable[Tensor], gallery: Tensor, targets: Tensor | None = None
) -> GallerySearch:
    """Finds the most similar view of a gallery for each steered embedding, and the rank of its target.

    Neither all steered embeddings nor all similarities are in memory at once. Similarities that differ by less than
    rounding count as equal.

    Args:
        steered: Steered embeddings in chunks (queries, dimension), in order.
        gallery: Embeddings (rows, dimension).
        targets: Row (all queries,) of each query's target; None if the gallery does not hold them.
    """
    gallery = F.normalize(gallery, dim=1)
    slack = 8 * torch.finfo(gallery.dtype).eps
    size = max(1, SIMILARITIES_IN_MEMORY // min(len(gallery), 2**16))
    ranks, nearest, similarities, done = [gallery.new_empty(0).double()], [], [], 0
    for chunk in steered:
        for queries in F.normalize(chunk, dim=1).split(size):
            best = queries.new_full((len(queries),), -torch.inf)
            row = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
            rank = torch.ones(len(queries), dtype=torch.float64, device=queries.device)
            if targets is not None:
                of_target = (queries * gallery[targets[done : done + len(queries)]]).sum(dim=1, keepdim=True)
                rank -= 0.5  # the target is found among its equals, each of which counts half
            for start in range(0, len(gallery), 2**16):
                similarity = queries @ gallery[start : start + 2**16].T
                value, column = similarity.max(dim=1)
                is_better = value > best
                row = torch.where(is_better, column + start, row)
                best = torch.where(is_better, value, best)
                if targets is not None:
                    above = (similarity > of_target + slack).sum(dim=1)
                    not_below = (similarity >= of_target - slack).sum(dim=1)
                    rank += (above + not_below) / 2
            nearest.append(row)
            similarities.append(best)
            done += len(queries)
            if targets is not None:
                ranks.append(rank)
    return GallerySearch(torch.cat(ranks), torch.cat(nearest), torch.cat(similarities))


def rotation_errors(first: Tensor, second: Tensor) -> Tensor:
    """Computes rotation errors as PRE counts them: 1 - <q1, q2>², 0 for equal poses, 1 for half a turn.

    Both arguments are extrinsic xyz angles (batch, 3), rad.
    """
    overlap = (quaternion_from_euler(first) * quaternion_from_euler(second)).sum(dim=1)
    return 1 - overlap.pow(2)


def mrr_by_object(ranks: Tensor, candidates: int) -> PerObject:
    """Computes the mean reciprocal rank of ranks (objects, targets) among ``candidates`` views, by object.

    Its chance level is that of a random order.
    """
    return PerObject.mean_of((1 / ranks.double()).cpu().numpy(), chance_mrr(candidates))


def hits_by_object(ranks: Tensor, k: int, candidates: int) -> PerObject:
    """Computes H@k, the share of ranks (objects, targets) that are at most k, by object.

    Its chance level is that of a random order of ``candidates`` views.
    """
    return PerObject.mean_of((ranks <= k).double().cpu().numpy(), min(1.0, k / candidates))


def pre_by_object(errors: Tensor, constant: float) -> PerObject:
    """Computes the prediction retrieval error (PRE), the mean of rotation errors (objects, targets), by object.

    Its chance level is ``constant``, which ``constant_pre`` gives; lower is better.
    """
    return PerObject.mean_of(errors.double().cpu().numpy(), constant)


def chance_mrr(candidates: int) -> float:
    """Computes the mean reciprocal rank of a target at a random position among ``candidates`` views."""
    return float((1 / np.arange(1, candidates + 1)).sum() / candidates)


def random_pre(queries: Tensor, gallery: Tensor) -> Tensor:
    """Computes the expected rotation error (queries,) float64 of a view drawn at random; 0.625 on average on 3DIEBench.

    It is ``1 - qᵀ M q`` with ``M`` the mean of ``g gᵀ`` over the gallery's quaternions. Angles are (views, 3), rad.
    """
    rows, asked = (quaternion_from_euler(angles.double()) for angles in (gallery, queries))
    moment = rows.T @ rows / len(rows)
    return 1 - ((asked @ moment) * asked).sum(dim=1)


def constant_pre(queries: Tensor, gallery: Tensor) -> Tensor:
    """Computes the rotation error of always answering the gallery's pose nearest to no rotation; 0.446 on 3DIEBench.

    Angles are (views, 3), rad; the result is (queries,) float64.
    """
    rows = gallery.double()
    answer = rows[quaternion_from_euler(rows)[:, 3].abs().argmax()]
    return rotation_errors(queries.double(), answer.expand(len(queries), 3))
