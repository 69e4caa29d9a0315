"""Measures of how well a predictor's steps in embedding space follow the transformations of views.

For a source view s, a target view t and the prediction p of t's embedding from s's:

- equivariance error: sum |p - t| / sum |s - t|. 0 is exact; 1 is what returning the source unchanged scores.
- EquiMod's absolute measure: mean of cos(t, p) - cos(t, s). 0 is as good as returning the source.
- EquiMod's relative measure: mean of (1 - cos(t, s)) / (1 - cos(t, p)). 1 is as good as returning the source.
- composition error: sum |p(s, via, t) - p(s, t)| / sum |p(s, t) - s|, two steps against one.
- inversion error: sum |p(s, t, s) - s| / sum |p(s, t) - s|, there and back.

The last two are 0 for a predictor whose steps compose and invert, and undefined for one that does not move.
EquiMod: arXiv 2211.01244, section 3.2 and its code.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.evaluation.intervals import PerObject

Predict = Callable[[Tensor, Tensor], Tensor]
"""A function from embeddings (batch, dimension) and transformations to predicted embeddings."""

TransformationOf = Callable[[Tensor, Tensor], Tensor]
"""A function from latents (batch, latents) of the first and the second views to the transformations between them."""

PREDICTOR_NUMBERS_IN_MEMORY = 2**28
"""Numbers that a predictor may hold in memory at once; some kinds make a matrix for each row."""

MEASURES = (
    "equivariance_error",
    "equimod_absolute",
    "equimod_relative",
    "composition_error",
    "inversion_error",
)


@torch.inference_mode()
def measure_equivariance(
    predict: Predict, transformation_of: TransformationOf, embeddings: Tensor, latents: Tensor
) -> dict[str, PerObject]:
    """Computes all measures, from the first view of each object to each of its other views.

    For two steps, the view in between is drawn at random from all but source and target; with two views there
    is no such view, and no composition error.

    Args:
        predict: Predictor on the device of the embeddings.
        transformation_of: Function that gives the transformation between two views.
        embeddings: Embeddings (objects, views, dimension) of two views at least.
        latents: Latents (objects, views, latents) float64, on any device.

    Returns:
        Measures by their names in ``MEASURES``.
    """
    _, views, dimension = embeddings.shape
    between = _between(len(embeddings), views)
    chunk = max(1, PREDICTOR_NUMBERS_IN_MEMORY // (dimension**2 * views))
    chunks = zip(embeddings.split(chunk), latents.split(chunk), between.split(chunk), strict=True)
    parts = [
        _measure(predict, transformation_of, space, known.to(space.device), via.to(space.device))
        for space, known, via in chunks
    ]
    sums = {name: torch.cat([part[name] for part in parts]).cpu().numpy() for name in parts[0]}
    chance = {"equivariance_error": 1.0, "equimod_absolute": 0.0, "equimod_relative": 1.0}
    return {
        name: PerObject.ratio(sums[name][:, 0], sums[name][:, 1], chance.get(name))
        for name in MEASURES
        if name in sums
    }


def equimod_measures(predicted: Tensor, target: Tensor, source: Tensor) -> tuple[Tensor, Tensor]:
    """Computes EquiMod's absolute and relative measures (...) of each pair of embeddings (..., dimension)."""
    reached = F.cosine_similarity(target, predicted, dim=-1)
    unmoved = F.cosine_similarity(target, source, dim=-1)
    return reached - unmoved, (1 - unmoved) / (1 - reached)


def _measure(
    predict: Predict, transformation_of: TransformationOf, embeddings: Tensor, latents: Tensor, via: Tensor
) -> dict[str, Tensor]:
    """Computes the numbers and totals (objects, 2) of each measure for a chunk of objects."""
    objects, views, _ = embeddings.shape
    targets = embeddings[:, 1:].double()
    sources = embeddings[:, :1].expand(-1, views - 1, -1)
    of_source = latents[:, :1].expand(-1, views - 1, -1)
    of_target = latents[:, 1:]

    def step(start: Tensor, first: Tensor, second: Tensor) -> Tensor:
        transformation = transformation_of(first.flatten(0, 1), second.flatten(0, 1)).float()
        return predict(start.flatten(0, 1), transformation).unflatten(0, (objects, views - 1))

    once = step(sources, of_source, of_target)
    back = step(once, of_target, of_source)
    start, reached = sources.double(), once.double()
    absolute, relative = equimod_measures(reached, targets, start)
    found = {
        "equivariance_error": _ratio(_length(start - targets), _length(reached - targets)),
        "equimod_absolute": _ratio(torch.ones_like(absolute), absolute),
        "equimod_relative": _ratio(torch.ones_like(relative), relative),
        "inversion_error": _ratio(_length(reached - start), _length(back.double() - start)),
    }
    if views > 2:
        of_via = latents.gather(1, via[..., None].expand(-1, -1, latents.shape[2]))
        twice = step(step(sources, of_source, of_via), of_via, of_target).double()
        found["composition_error"] = _ratio(_length(reached - start), _length(twice - reached))
    return found


def _between(objects: int, views: int) -> Tensor:
    """Draws, for each target 1, 2, ..., a view (objects, views - 1) that is neither the target nor the first."""
    generator = torch.Generator().manual_seed(0)
    targets = torch.arange(1, views)
    shift = torch.randint(1, max(2, views - 1), (objects, views - 1), generator=generator)
    return (targets - 1 + shift) % max(1, views - 1) + 1


def _length(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=-1)


def _ratio(number: Tensor, total: Tensor) -> Tensor:
    """Puts the numbers and totals of a ratio side by side, object by object."""
    return torch.stack((number.sum(dim=1), total.sum(dim=1)), dim=1)
