"""Retrieval metrics of a predictor: does the steered embedding lie nearest to the view it should become?

As in the SIE paper (arXiv 2302.10283, section 5.2): the first view of each object is steered by the
transformation to each of its views, and the object's views are ranked by cosine similarity to the result.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.methods.parts.transformations import quaternion_from_euler


@dataclass(frozen=True)
class Retrieval:
    """What retrieval found, for each object and each of its views as the target.

    Attributes:
        ranks: (objects, views) float: 1 where the target comes first; among equals, the middle one's, so
            that collapsed embeddings score no better than chance.
        ranked: (objects, views, views) int64: views by falling similarity to the steered embedding.
        pre: (objects, views) float: rotation error of the nearest view among all objects, in [0, 1].
    """

    ranks: Tensor
    ranked: Tensor
    pre: Tensor

    def metrics(self, hits_at: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
        """MRR, H@k and PRE (lower is better), means over objects and targets."""
        ranks = self.ranks.double()
        hits = {f"h@{k}": (ranks <= k).double().mean().item() for k in hits_at}
        return {"mrr": (1 / ranks).mean().item(), **hits, "pre": self.pre.double().mean().item()}


def retrieve(steered: Tensor, embeddings: Tensor, rotations: Tensor) -> Retrieval:
    """Ranks views by how near they are to where the predictor says they should be.

    Args:
        steered: (objects, views, dimension): the first view's embedding, steered to each of the views.
        embeddings: (objects, views, dimension): the views' own embeddings.
        rotations: (objects, views, 3): extrinsic xyz angles, rad.
    """
    objects, views, _ = embeddings.shape
    candidates = F.normalize(embeddings, dim=2)
    queries = F.normalize(steered, dim=2)
    similarity = torch.einsum("otd,ovd->otv", queries, candidates)
    targets = torch.arange(views, device=similarity.device)
    of_target = similarity[:, targets, targets]
    nearer = (similarity > of_target[..., None]).sum(dim=2)
    tied = (similarity == of_target[..., None]).sum(dim=2) - 1
    quaternions = quaternion_from_euler(rotations.flatten(0, 1)).unflatten(0, (objects, views))
    everything = candidates.flatten(0, 1)
    nearest = torch.stack([(query @ everything.T).argmax(dim=1) for query in queries])
    overlap = (quaternions.flatten(0, 1)[nearest] * quaternions).sum(dim=2)
    return Retrieval(
        1 + nearer + tied / 2, similarity.argsort(dim=2, descending=True, stable=True), 1 - overlap.pow(2)
    )


def chance_mrr(views: int) -> float:
    """The mean reciprocal rank of a target placed at random among ``views`` views."""
    return sum(1 / rank for rank in range(1, views + 1)) / views
