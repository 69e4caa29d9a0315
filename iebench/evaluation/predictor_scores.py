"""What a predictor is worth: whether an embedding, once moved, lies nearest to the view that it should become."""

from collections.abc import Iterator

import torch
from torch import Tensor

from iebench.backbones.encoder import EmbeddingPredictor
from iebench.evaluation.features import Features
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.results import LeftOut, RetrievalExample
from iebench.evaluation.retrieval import Retrieval, chance_mrr, retrieve
from iebench.evaluation.scoring import Scores
from iebench.methods.parts.transformations import LATENTS, relative_transformation

EXAMPLES = 6
HITS_AT = (1, 5, 10)
_ROWS = 4096
_NUMBERS_AT_ONCE = 2**28
"""Numbers that a predictor may hold at once: some kinds make a matrix for each row."""


def predictor_tasks_left_out(
    predictor: EmbeddingPredictor | None, latent_names: list[str], views_per_object: int
) -> list[LeftOut]:
    """What cannot be measured of a predictor on a dataset; nothing is said of an encoder without one.

    Args:
        predictor: The predictor.
        latent_names: Latents of the validation split.
        views_per_object: Views of each object.
    """
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


@torch.inference_mode()
def score_predictor(
    predictor: EmbeddingPredictor, val: Features, latent_names: list[str], device: torch.device
) -> tuple[Scores, tuple[RetrievalExample, ...]]:
    """Retrieval of the views of each validation object from its first view.

    Args:
        predictor: On ``device``.
        val: Features of the validation split, with the latents that the predictor is told.
        latent_names: Names of the latents' columns.
        device: Where embeddings are computed.

    Returns:
        MRR, H@k and, if the predictor is told rotations, PRE; and a few objects with what was retrieved.
    """
    embeddings = _embed(predictor, val, device)
    steered = torch.cat(list(_steer(predictor, embeddings, val, latent_names, device)))
    columns = [latent_names.index(name) for name in LATENTS["rotation"] if name in latent_names]
    is_told_rotation = "rotation" in predictor.groups
    rotations = (
        val.latents[..., columns] if is_told_rotation else val.latents.new_zeros((*val.latents.shape[:2], 3))
    )
    found = retrieve(steered, embeddings, rotations.to(device))
    ranks = found.ranks.double().cpu().numpy()
    views = val.views
    scores = {"mrr": PerObject.mean_of(1 / ranks, chance_mrr(views))}
    scores |= {f"h@{k}": PerObject.mean_of((ranks <= k).astype(float), min(1.0, k / views)) for k in HITS_AT}
    if is_told_rotation:
        scores["pre"] = PerObject.mean_of(found.pre.double().cpu().numpy())
    return scores, _examples(found, val)


def _embed(predictor: EmbeddingPredictor, val: Features, device: torch.device) -> Tensor:
    """(objects, views, embedding dimension), in chunks."""
    rows = val.representations.flatten(0, 1)
    chunks = [predictor.embed(chunk.to(device).float()) for chunk in rows.split(_ROWS)]
    return torch.cat(chunks).unflatten(0, (val.objects, val.views))


def _steer(
    predictor: EmbeddingPredictor,
    embeddings: Tensor,
    val: Features,
    latent_names: list[str],
    device: torch.device,
) -> Iterator[Tensor]:
    """The first view of each object moved to each of its views, in chunks of whole objects."""
    _, views, dimension = embeddings.shape
    objects = max(1, _NUMBERS_AT_ONCE // (dimension**2 * views))
    for chunk, latents in zip(embeddings.split(objects), val.latents.split(objects), strict=True):
        latents = latents.to(device)
        first = latents[:, :1].expand_as(latents)
        told = relative_transformation(
            first.flatten(0, 1), latents.flatten(0, 1), predictor.groups, latent_names
        ).float()
        sources = chunk[:, :1].expand_as(chunk).flatten(0, 1)
        yield predictor.predict(sources, told).unflatten(0, (len(chunk), views))


def _examples(retrieval: Retrieval, val: Features) -> tuple[RetrievalExample, ...]:
    """A few objects of different classes, with the views that the predictor retrieves for one target each."""
    views = retrieval.ranks.shape[1]
    chosen: dict[int, int] = {}
    for position, label in enumerate(val.labels.tolist()):
        chosen.setdefault(label, position)
    positions = list(chosen.values())
    step = max(1, len(positions) // EXAMPLES)
    examples = []
    for number, position in enumerate(positions[::step][:EXAMPLES]):
        target = 1 + number % (views - 1)
        synset, object_id = val.names[position]
        rank = retrieval.ranks[position, target].item()
        retrieved = tuple(retrieval.ranked[position, target, :5].tolist())
        examples.append(RetrievalExample(synset, object_id, 0, target, rank, retrieved))
    return tuple(examples)
