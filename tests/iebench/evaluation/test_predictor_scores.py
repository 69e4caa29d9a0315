import json

import numpy as np
import pytest
import torch
from torch import Tensor

from iebench.backbones.encoder import EmbeddingPredictor
from iebench.evaluation import predictor_scores
from iebench.evaluation.features import Features
from iebench.evaluation.predictor_scores import (
    PredictorSpace,
    score_galleries,
    score_training,
    score_validation,
)
from iebench.evaluation.scoring import Scores
from iebench.methods.parts.predictors import HypernetworkPredictor
from parity_files import parity_folder
from shards.variants import VARIANTS

VIEWS = 50  # of each object in the published dataset
LATENTS = [latent.name for latent in VARIANTS["3diebench"]]


class PublishedPredictor(EmbeddingPredictor):
    """The hypernetwork of the published metrics, whose embeddings are given."""

    def __init__(self, dimension: int, weight: Tensor) -> None:
        super().__init__()
        self.groups = ("rotation",)
        self.latent_names = tuple(LATENTS)
        self.hypernetwork = HypernetworkPredictor(dimension, 4)
        self.hypernetwork.load_state_dict({"weights.0.weight": weight})

    def embed(self, representations: Tensor) -> Tensor:
        return representations

    def predict(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        return self.hypernetwork(embeddings, transformation)


@pytest.fixture
def spaces() -> dict[str, PredictorSpace]:
    arrays = np.load(parity_folder("parity") / "retrieval_metrics.npz")
    found = {}
    for split in ("train", "val"):
        embeddings = torch.from_numpy(arrays[f"embeddings_{split}"]).float().unflatten(0, (-1, VIEWS))
        latents = torch.from_numpy(arrays[f"latents_{split}"]).double().unflatten(0, (-1, VIEWS))
        predictor = PublishedPredictor(
            embeddings.shape[2], torch.from_numpy(arrays["hypernetwork_weight"]).float()
        )
        labels = torch.arange(len(embeddings))
        features = Features(embeddings, latents, labels, [("", str(number)) for number in labels.tolist()])
        found[split] = PredictorSpace(predictor, features, LATENTS, torch.device("cpu"))
    return found


@pytest.fixture
def published() -> dict[str, dict[str, float]]:
    records = json.loads(str(np.load(parity_folder("parity") / "retrieval_metrics.npz")["expected"]))
    found: dict[str, dict[str, float]] = {}
    for record in records:  # MRR and H@k of a pair of splits in one, PRE in another
        found.setdefault(record["mode"], {}).update(record)
    return found


def compare(found: Scores, expected: dict[str, float]) -> None:
    for name, score in found.items():
        assert score.value == pytest.approx(expected[name.upper()], abs=1e-5), name


@pytest.mark.parametrize("rows", [predictor_scores.GALLERY_ROWS, 70])
def test_every_pair_of_splits_scores_as_the_published_code_does(spaces, published, monkeypatch, rows):
    monkeypatch.setattr(predictor_scores, "GALLERY_ROWS", rows)
    monkeypatch.setattr(predictor_scores, "PREDICTOR_NUMBERS_IN_MEMORY", rows * 10_000)
    measured = score_validation(spaces["val"])
    within = measured["retrieval", "val-val"]
    compare(
        {name: score for name, score in within.items() if name != "pre_random_view"}, published["val-val"]
    )
    assert within["pre_random_view"].value > within["pre"].chance
    compare(score_training(spaces["train"]), published["train-train"])
    compare(score_galleries(spaces["val"], [spaces["train"], spaces["val"]]), published["val-all"])
    assert {"mrr", "h@1", "h@2", "h@5", "h@10", "pre", "pre_random_view"} == set(within)


def test_the_gallery_of_all_views_is_harder_than_that_of_one_object(spaces):
    measured = score_validation(spaces["val"])
    within, among_all = (measured["retrieval", part]["mrr"].value for part in ("val-val", "val-gallery"))
    assert within is not None and among_all is not None
    assert among_all <= within


def test_a_predictor_that_is_not_told_rotation_has_no_pre(spaces):
    space = spaces["val"]
    space.predictor.groups = ("color", "color")  # four numbers, none of which is a rotation
    measured = score_validation(space)
    assert "mrr" in measured["retrieval", "val-val"]
    assert "pre" not in measured["retrieval", "val-val"]
    assert score_galleries(space, [space]) == {}
