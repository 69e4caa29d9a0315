"""Scores predictors by whether a moved embedding lies nearest to the view that it should become."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from iebench.backbones.encoder import EmbeddingPredictor
from iebench.evaluation.equivariance import PREDICTOR_NUMBERS_IN_MEMORY, measure_equivariance
from iebench.evaluation.features import Features
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.results import LeftOut
from iebench.evaluation.retrieval import (
    constant_pre,
    hits_by_object,
    mrr_by_object,
    pre_by_object,
    random_pre,
    rank_views,
    rotation_errors,
    search_gallery,
)
from iebench.evaluation.scoring import Scores
from iebench.methods.parts.transformations import LATENTS, relative_transformation

HITS_AT = (1, 2, 5, 10)
GALLERY_ROWS = 2**18
"""Number of gallery views embedded at once if the whole gallery does not fit: 1 GiB for 1024 columns."""
_ROWS = 4096


def predictor_tasks_left_out(
    predictor: EmbeddingPredictor | None, latent_names: Sequence[str], views_per_object: int
) -> list[LeftOut]:
    """Lists the tasks that cannot be measured of a predictor on a dataset; nothing for an encoder without one."""
    if predictor is None:
        return []
    if views_per_object < 2:
        return [LeftOut("retrieval", "the dataset has one view of each object")]
    needed = [name for group in predictor.groups for name in LATENTS[group]]
    missing = [name for name in needed if name not in latent_names]
    if missing:
        return [LeftOut("retrieval", f"the dataset lacks {', '.join(missing)}, which the predictor is told")]
    if "rotation" not in predictor.groups:
        return [LeftOut("pre", "the predictor is not told rotations")]
    return []


def galleries_left_out(asked: Sequence[str], is_own_training: bool) -> list[LeftOut]:
    """Lists the galleries of training views among the ``asked`` ones that are not searched, each with the reason."""
    if is_own_training:
        return []
    reason = "it takes training views of the dataset on which is measured"
    return [LeftOut(f"retrieval {name}", reason) for name in asked if name != "val-val"]


@dataclass(frozen=True)
class PredictorSpace:
    """The views of one split in the space in which a predictor on ``device`` moves embeddings."""

    predictor: EmbeddingPredictor
    features: Features
    latent_names: Sequence[str]
    device: torch.device

    @property
    def is_told_rotation(self) -> bool:
        """Whether the predictor is told rotations, so that PRE is defined."""
        return "rotation" in self.predictor.groups

    def angles(self) -> Tensor:
        """Returns the rotation angles (views of all objects, 3) on the device, rad."""
        columns = [list(self.latent_names).index(name) for name in LATENTS["rotation"]]
        return self.features.latents[..., columns].flatten(0, 1).to(self.device)

    def transformation(self, first: Tensor, second: Tensor) -> Tensor:
        """Returns the transformations between pairs of latents (batch, latents)."""
        return relative_transformation(first, second, self.predictor.groups, self.latent_names).float()

    def embed(self, representations: Tensor) -> Tensor:
        """Embeds representations (..., dimension) in chunks."""
        chunks = representations.flatten(0, -2).split(_ROWS)
        embeddings = torch.cat([self.predictor.embed(chunk.to(self.device).float()) for chunk in chunks])
        return embeddings.unflatten(0, representations.shape[:-1])

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Yields the embeddings of all views in blocks, each with the row of its first view."""
        rows = self.features.representations.flatten(0, 1)
        for start in range(0, len(rows), GALLERY_ROWS):
            yield start, self.embed(rows[start : start + GALLERY_ROWS])

    def steered(self) -> Iterator[tuple[slice, Tensor]]:
        """Moves the first view of each object to each of its views, in chunks of whole objects.

        Yields:
            The objects of a chunk, and (objects, views, embedding dimension).
        """
        features, views = self.features, self.features.views
        sources = self.embed(features.representations[:, 0])
        step = max(1, PREDICTOR_NUMBERS_IN_MEMORY // (sources.shape[1] ** 2 * views))
        for start in range(0, features.objects, step):
            chunk = slice(start, min(start + step, features.objects))
            latents = features.latents[chunk].to(self.device)
            first = latents[:, :1].expand_as(latents)
            transformation = self.transformation(first.flatten(0, 1), latents.flatten(0, 1))
            moved = self.predictor.predict(sources[chunk].repeat_interleave(views, dim=0), transformation)
            yield chunk, moved.unflatten(0, (len(latents), views))

    def steered_rows(self) -> Iterator[Tensor]:
        """Yields the chunks of ``steered`` as (rows, embedding dimension)."""
        return (moved.flatten(0, 1) for _, moved in self.steered())

    def rank(self) -> tuple[Tensor, Tensor]:
        """Ranks the targets among the views of their object; see ``rank_views``."""
        found = [
            rank_views(moved, self.embed(self.features.representations[chunk]))
            for chunk, moved in self.steered()
        ]
        ranks, ranked = zip(*found, strict=True)
        return torch.cat(ranks), torch.cat(ranked)


@torch.inference_mode()
def score_retrieval(part: str, spaces: Mapping[str, PredictorSpace]) -> dict[tuple[str, str], Scores]:
    """Computes all scores with one choice of queries and gallery.

    Args:
        part: ``val-val``, ``val-all`` or ``train-train``.
        spaces: Views of ``val``, and of ``train`` if the part needs them.

    Returns:
        Scores by task and part.
    """
    if part == "train-train":
        return {("retrieval", part): score_training(spaces["train"])}
    if part == "val-all":
        return {("retrieval", part): score_galleries(spaces["val"], [spaces["train"], spaces["val"]])}
    return score_validation(spaces["val"])


def score_validation(space: PredictorSpace) -> dict[tuple[str, str], Scores]:
    """Scores the retrieval of validation views, and how well the predictor's steps follow the views.

    Returns:
        Scores by (task, part): retrieval among the views of the object and PRE (``val-val``), retrieval among all
        validation views (``val-gallery``) and ``steps``.
    """
    features = space.features
    ranks, _ = space.rank()
    within = _rank_scores(ranks, features.views)
    embeddings = space.embed(features.representations)
    count = features.objects * features.views
    rows = torch.arange(count, device=space.device)
    found = search_gallery(space.steered_rows(), embeddings.flatten(0, 1), rows)
    if space.is_told_rotation:
        angles = space.angles()
        errors = rotation_errors(angles, angles[found.nearest]).unflatten(0, ranks.shape)
        within["pre"] = pre_by_object(errors, constant_pre(angles, angles).mean().item())
        by_chance = random_pre(angles, angles).unflatten(0, ranks.shape)
        within["pre_random_view"] = PerObject.mean_of(by_chance.cpu().numpy())
    return {
        ("retrieval", "val-val"): within,
        ("retrieval", "val-gallery"): _rank_scores(found.ranks.unflatten(0, ranks.shape), count),
        ("steps", "val-val"): measure_equivariance(
            space.predictor.predict, space.transformation, embeddings, features.latents
        ),
    }


@torch.inference_mode()
def score_galleries(space: PredictorSpace, gallery: Sequence[PredictorSpace]) -> Scores:
    """Computes PRE in the views of several splits together; returns nothing if the predictor is not told rotations."""
    if not space.is_told_rotation:
        return {}
    asked = space.angles()
    best = torch.full((len(asked),), -torch.inf, device=space.device)
    retrieved = torch.zeros_like(asked)
    for part in gallery:
        angles = part.angles()
        for start, block in part.blocks():
            found = search_gallery(space.steered_rows(), block)
            is_better = found.similarity > best
            best = torch.where(is_better, found.similarity, best)
            retrieved = torch.where(is_better[:, None], angles[start + found.nearest], retrieved)
    everything = torch.cat([part.angles() for part in gallery])
    shape = (space.features.objects, space.features.views)
    errors = rotation_errors(asked, retrieved).unflatten(0, shape)
    return {"pre": pre_by_object(errors, constant_pre(asked, everything).mean().item())}


@torch.inference_mode()
def score_training(space: PredictorSpace) -> Scores:
    """Scores the retrieval of training views within their object, and PRE among all training views."""
    ranks, _ = space.rank()
    return _rank_scores(ranks, space.features.views) | score_galleries(space, [space])


def _rank_scores(ranks: Tensor, candidates: int) -> Scores:
    """Computes MRR and H@k of ranks (objects, views) among ``candidates`` views."""
    hits = {f"h@{k}": hits_by_object(ranks, k, candidates) for k in HITS_AT if k < candidates}
    return {"mrr": mrr_by_object(ranks, candidates), **hits}
