import json

import numpy as np
import pytest
import torch

from iebench.evaluation.retrieval import chance_mrr, retrieve
from iebench.methods.parts.predictors import HypernetworkPredictor
from iebench.methods.parts.transformations import relative_rotation
from parity_files import parity_folder

VIEWS = 50  # of each object in the published dataset


def published_expectations() -> dict[tuple[str, str], float]:
    records = json.loads(str(np.load(parity_folder("parity") / "retrieval_metrics.npz")["expected"]))
    return {
        (record["mode"], name): value
        for record in records
        for name, value in record.items()
        if name != "mode"
    }


@pytest.mark.parametrize("split", ["train", "val"])
def test_metrics_equal_the_published_code(split):
    arrays = np.load(parity_folder("parity") / "retrieval_metrics.npz")
    embeddings = torch.from_numpy(arrays[f"embeddings_{split}"]).double().unflatten(0, (-1, VIEWS))
    rotations = torch.from_numpy(arrays[f"latents_{split}"])[:, :3].unflatten(0, (-1, VIEWS))
    predictor = HypernetworkPredictor(embeddings.shape[2], 4).double()
    predictor.load_state_dict({"weights.0.weight": torch.from_numpy(arrays["hypernetwork_weight"]).double()})
    with torch.inference_mode():
        transformation = relative_rotation(
            rotations[:, :1].expand_as(rotations).flatten(0, 1), rotations.flatten(0, 1)
        )
        steered = predictor(embeddings[:, :1].expand_as(embeddings).flatten(0, 1), transformation)
    found = retrieve(steered.unflatten(0, (-1, VIEWS)), embeddings, rotations).metrics((1, 2, 5, 10))
    expected = published_expectations()
    for name, value in found.items():
        assert value == pytest.approx(expected[f"{split}-{split}", name.upper()], abs=2e-7), name


def test_a_perfect_predictor_ranks_every_target_first():
    embeddings = torch.randn(3, 6, 8)
    found = retrieve(embeddings, embeddings, torch.rand(3, 6, 3))
    assert found.metrics()["mrr"] == 1
    assert found.metrics()["pre"] == pytest.approx(0, abs=1e-6)
    assert torch.equal(found.ranked[..., 0], torch.arange(6).expand(3, 6))


def test_collapsed_embeddings_score_no_better_than_chance():
    embeddings = torch.ones(3, 6, 8)
    assert retrieve(embeddings, embeddings, torch.rand(3, 6, 3)).metrics()["mrr"] < chance_mrr(6)


def test_chance_is_the_mean_reciprocal_rank_of_a_random_order():
    generator = torch.Generator().manual_seed(0)
    ranks = torch.argsort(torch.rand(20000, 7, generator=generator), dim=1)[:, 0] + 1
    assert chance_mrr(7) == pytest.approx((1 / ranks).mean().item(), abs=0.01)
