"""Retrieval metrics of a predictor: does the steered embedding lie nearest to the view it should become?

As in the SIE paper (arXiv 2302.10283, section 5.2): the first view of each object is steered by the
transformation to each of its views, itself included. MRR and H@k rank the object's own views, or the whole
gallery, by cosine similarity to the result; PRE is the rotation error of the nearest view of a whole gallery.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.evaluation.intervals import PerObject
from iebench.methods.parts.transformations import quaternion_from_euler

FIRST = 5
"""Views that are kept of each ranking, for pictures."""

NUMBERS_AT_ONCE = 2**26
"""Similarities that are held at once: 256 MiB in float32."""


@dataclass(frozen=True)
class Retrieval:
    """What retrieval found, for each object and each of its views as the target.

    Attributes:
        ranks: (objects, views) float: 1 where the target comes first; among equals, the middle one's, so
            that collapsed embeddings score no better than chance.
        ranked: (objects, views, first) int64: the first views by falling similarity to the steered embedding.
        pre: (objects, views) float: rotation error of the nearest view among all objects, in [0, 1].
    """

    ranks: Tensor
    ranked: Tensor
    pre: Tensor


@dataclass(frozen=True)
class GallerySearch:
    """What a search of a whole gallery found, for each query.

    Attributes:
        ranks: (queries,) float64 ranks of the targets, 1 is best; among equals, the middle one's. Empty if the
            targets are not in the gallery.
        nearest: (queries,) int64 rows of the most similar views.
        similarity: (queries,) their cosine similarities.
    """

    ranks: Tensor
    nearest: Tensor
    similarity: Tensor


def retrieve(steered: Tensor, embeddings: Tensor, rotations: Tensor) -> Retrieval:
    """Ranks views by how near they are to where the predictor says they should be.

    Args:
        steered: (objects, views, dimension): the first view's embedding, steered to each of the views.
        embeddings: (objects, views, dimension): the views' own embeddings.
        rotations: (objects, views, 3): extrinsic xyz angles, rad.
    """
    ranks, ranked = rank_views(steered, embeddings)
    nearest = search_gallery([steered.flatten(0, 1)], embeddings.flatten(0, 1)).nearest
    angles = rotations.flatten(0, 1)
    errors = rotation_errors(angles, angles[nearest])
    return Retrieval(ranks, ranked, errors.unflatten(0, ranks.shape))


def retrieval_metrics(found: Retrieval, hits_at: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """MRR, H@k and PRE (lower is better), means over objects and targets."""
    hits = {f"h@{k}": (found.ranks <= k).double().mean().item() for k in hits_at}
    return {"mrr": (1 / found.ranks).mean().item(), **hits, "pre": found.pre.double().mean().item()}


def rank_views(steered: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks the views of each object by cosine similarity to its steered embeddings, in chunks of objects.

    Args:
        steered: (objects, targets, dimension), target t steered to view t.
        embeddings: (objects, views, dimension) of the same objects.

    Returns:
        Ranks of the targets (objects, targets) float64, and the first views of each ranking (objects, targets,
        first) int64.
    """
    views = embeddings.shape[1]
    chunk = max(1, NUMBERS_AT_ONCE // (views * views))
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
    """Finds for each steered embedding the most similar view of a gallery, and the rank of its target.

    Neither all steered embeddings nor all similarities are held at once. Similarities that differ by less than
    rounding count as equal.

    Args:
        steered: Chunks (queries, dimension) of steered embeddings, in order.
        gallery: (rows, dimension) embeddings.
        targets: (all queries,) row of each query's target; None if the gallery does not hold them.
    """
    gallery = F.normalize(gallery, dim=1)
    slack = 8 * torch.finfo(gallery.dtype).eps
    ranks, nearest, similarities, done = [gallery.new_empty(0).double()], [], [], 0
    for chunk in steered:
        for queries in F.normalize(chunk, dim=1).split(max(1, NUMBERS_AT_ONCE // min(len(gallery), 2**16))):
            best = queries.new_full((len(queries),), -torch.inf)
            place = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
            rank = torch.ones(len(queries), dtype=torch.float64, device=queries.device)
            if targets is not None:
                of_target = (queries * gallery[targets[done : done + len(queries)]]).sum(dim=1, keepdim=True)
                rank -= 0.5  # the target is found among its equals, each of which counts half
            for start in range(0, len(gallery), 2**16):
                similarity = queries @ gallery[start : start + 2**16].T
                value, column = similarity.max(dim=1)
                is_better = value > best
                place = torch.where(is_better, column + start, place)
                best = torch.where(is_better, value, best)
                if targets is not None:
                    above = (similarity > of_target + slack).sum(dim=1)
                    not_below = (similarity >= of_target - slack).sum(dim=1)
                    rank += (above + not_below) / 2
            nearest.append(place)
            similarities.append(best)
            done += len(queries)
            if targets is not None:
                ranks.append(rank)
    return GallerySearch(torch.cat(ranks), torch.cat(nearest), torch.cat(similarities))


def rotation_errors(first: Tensor, second: Tensor) -> Tensor:
    """Rotation errors as PRE counts them: 1 - <q1, q2>², 0 for equal poses, 1 for half a turn.

    Args:
        first: (batch, 3) extrinsic xyz angles, rad.
        second: (batch, 3), as ``first``.
    """
    overlap = (quaternion_from_euler(first) * quaternion_from_euler(second)).sum(dim=1)
    return 1 - overlap.pow(2)


def mrr_by_object(ranks: Tensor, candidates: int) -> PerObject:
    """Mean reciprocal rank, by object, with the chance level of a random order.

    Args:
        ranks: (objects, targets) ranks, 1 is best.
        candidates: Number of views that were ranked.
    """
    return PerObject.mean_of((1 / ranks.double()).cpu().numpy(), chance_mrr(candidates))


def hits_by_object(ranks: Tensor, k: int, candidates: int) -> PerObject:
    """H@k, the share of targets among the first k, by object, with the chance level of a random order.

    Args:
        ranks: (objects, targets) ranks, 1 is best.
        k: Number of views that count as found.
        candidates: Number of views that were ranked.
    """
    return PerObject.mean_of((ranks <= k).double().cpu().numpy(), min(1.0, k / candidates))


def pre_by_object(errors: Tensor, constant: float) -> PerObject:
    """Prediction retrieval error, the mean rotation error of what is retrieved, by object; lower is better.

    Args:
        errors: (objects, targets) from ``rotation_errors``.
        constant: Its chance level, from ``constant_pre``.
    """
    return PerObject.mean_of(errors.double().cpu().numpy(), constant)


def chance_mrr(candidates: int) -> float:
    """The mean reciprocal rank of a target placed at random among ``candidates`` views."""
    return float((1 / np.arange(1, candidates + 1)).sum() / candidates)


def random_pre(queries: Tensor, gallery: Tensor) -> Tensor:
    """Expected rotation error of a view drawn at random from the gallery; 0.625 on average on 3DIEBench.

    ``1 - qᵀ M q`` with ``M`` the mean of ``g gᵀ`` over the gallery's quaternions.

    Args:
        queries: (queries, 3) angles that are asked for, rad.
        gallery: (rows, 3) angles of the gallery, rad.

    Returns:
        (queries,) float64.
    """
    rows, asked = (quaternion_from_euler(angles.double()) for angles in (gallery, queries))
    moment = rows.T @ rows / len(rows)
    return 1 - ((asked @ moment) * asked).sum(dim=1)


def constant_pre(queries: Tensor, gallery: Tensor) -> Tensor:
    """Rotation error of always answering with the gallery's pose nearest to no rotation; 0.446 on 3DIEBench.

    Args:
        queries: (queries, 3) angles that are asked for, rad.
        gallery: (rows, 3) angles of the gallery, rad.

    Returns:
        (queries,) float64.
    """
    rows = gallery.double()
    answer = rows[quaternion_from_euler(rows)[:, 3].abs().argmax()]
    return rotation_errors(queries.double(), answer.expand(len(queries), 3))
