import json
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from iebench.evaluation import retrieval
from iebench.evaluation.retrieval import (
    chance_mrr,
    constant_pre,
    hits_by_object,
    mrr_by_object,
    pre_by_object,
    random_pre,
    rank_views,
    rotation_errors,
    search_gallery,
)
from iebench.methods.parts.predictors import HypernetworkPredictor
from iebench.methods.parts.transformations import relative_rotation
from parity_files import parity_folder

VIEWS = 50  # of each object in the published dataset


def published_arrays(split: str) -> tuple[Tensor, Tensor, Tensor]:
    """Steered embeddings, embeddings and angles of one split, (objects, views, ...) each."""
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
    return steered.unflatten(0, (-1, VIEWS)), embeddings, rotations


def published_metrics(mode: str) -> dict[str, float]:
    """What the published code computes, by our names of the metrics."""
    records = json.loads(str(np.load(parity_folder("parity") / "retrieval_metrics.npz")["expected"]))
    return {
        name.lower(): value
        for record in records
        if record["mode"] == mode
        for name, value in record.items()
        if name != "mode"
    }


def ranks_and_errors(steered: Tensor, embeddings: Tensor, rotations: Tensor) -> tuple[Tensor, Tensor]:
    """Ranks of the targets among their object's views, and rotation errors of the nearest views of all objects."""
    ranks, _ = rank_views(steered, embeddings)
    nearest = search_gallery([steered.flatten(0, 1)], embeddings.flatten(0, 1)).nearest
    angles = rotations.flatten(0, 1)
    return ranks, rotation_errors(angles, angles[nearest]).unflatten(0, ranks.shape)


def random_angles(*shape: int, seed: int = 0) -> Tensor:
    """Angles as 3DIEBench draws them, rad."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(*shape, 3, generator=generator, dtype=torch.float64) - 0.5) * math.pi


@pytest.mark.parametrize("split", ["train", "val"])
def test_metrics_equal_the_published_code(split: str):
    steered, embeddings, rotations = published_arrays(split)
    expected = published_metrics(f"{split}-{split}")
    ranks, errors = ranks_and_errors(steered, embeddings, rotations)
    by_object = {f"h@{k}": hits_by_object(ranks, k, VIEWS).value for k in (1, 2, 5, 10)}
    by_object |= {"mrr": mrr_by_object(ranks, VIEWS).value, "pre": pre_by_object(errors, 0.4).value}
    assert by_object == pytest.approx(expected, abs=2e-7)


def test_pre_with_validation_queries_in_all_views_equals_the_published_code():
    steered, val, asked = published_arrays("val")
    _, train, known = published_arrays("train")
    gallery = torch.cat((train.flatten(0, 1), val.flatten(0, 1)))
    angles = torch.cat((known.flatten(0, 1), asked.flatten(0, 1)))
    nearest = search_gallery(steered, gallery).nearest  # a chunk is an object's views
    errors = rotation_errors(asked.flatten(0, 1), angles[nearest])
    assert errors.mean().item() == pytest.approx(published_metrics("val-all")["pre"], abs=2e-7)


def test_chunks_change_no_result(monkeypatch: pytest.MonkeyPatch):
    steered, embeddings, _ = published_arrays("val")
    targets = torch.arange(len(embeddings) * VIEWS)
    whole = rank_views(steered, embeddings), search_gallery(steered, embeddings.flatten(0, 1), targets)
    monkeypatch.setattr(retrieval, "SIMILARITIES_IN_MEMORY", 700)
    parts = rank_views(steered, embeddings), search_gallery(steered, embeddings.flatten(0, 1), targets)
    for one, other in zip((*whole[0], *vars(whole[1]).values()), (*parts[0], *vars(parts[1]).values()), strict=True):  # fmt: skip
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_ranks_in_a_gallery_equal_those_of_a_full_sort():
    generator = torch.Generator().manual_seed(0)
    gallery, queries = (torch.randn(count, 5, generator=generator).double() for count in (300, 40))
    targets = torch.randint(300, (40,), generator=generator)
    found = search_gallery(queries.split(7), gallery, targets)
    for row, query in enumerate(queries):
        similarity = (gallery @ query / gallery.norm(dim=1)).numpy()
        order = np.argsort(-similarity)
        assert found.ranks[row] == 1 + list(order).index(targets[row])
        assert found.nearest[row] == order[0]


def test_collapsed_embeddings_rank_in_the_middle_of_a_gallery():
    gallery = torch.ones(21, 4) * torch.rand(21, 1).clamp(min=0.1)
    found = search_gallery([torch.ones(3, 4)], gallery, torch.tensor([0, 9, 20]))
    assert found.ranks.tolist() == [11, 11, 11]


def test_a_perfect_predictor_ranks_every_target_first():
    embeddings = torch.randn(3, 6, 8)
    ranks, errors = ranks_and_errors(embeddings, embeddings, torch.rand(3, 6, 3))
    assert mrr_by_object(ranks, 6).value == 1
    assert errors.mean() == pytest.approx(0, abs=1e-6)
    assert torch.equal(rank_views(embeddings, embeddings)[1][..., 0], torch.arange(6).expand(3, 6))


def test_collapsed_embeddings_score_no_better_than_chance():
    embeddings = torch.ones(3, 6, 8)
    assert mrr_by_object(rank_views(embeddings, embeddings)[0], 6).value < chance_mrr(6)


def test_chance_is_the_mean_reciprocal_rank_of_a_random_order():
    generator = torch.Generator().manual_seed(0)
    ranks = torch.argsort(torch.rand(20000, 7, generator=generator), dim=1)[:, 0] + 1
    assert chance_mrr(7) == pytest.approx((1 / ranks).mean().item(), abs=0.01)
    assert chance_mrr(50) == pytest.approx(0.090, abs=5e-4)
    hits = hits_by_object(ranks[:, None], 2, 7)
    assert hits.value == pytest.approx(hits.chance, abs=0.01)


def test_floors_of_pre_are_those_of_a_random_view_and_of_no_rotation():
    asked, gallery = random_angles(100, seed=1), random_angles(800)
    every = [rotation_errors(asked, row.expand_as(asked)) for row in gallery]
    assert torch.allclose(random_pre(asked, gallery), torch.stack(every).mean(dim=0), atol=1e-9)
    many = random_angles(50_000, seed=2)
    assert random_pre(many, many).mean().item() == pytest.approx(0.625, abs=0.004)
    assert constant_pre(many, many).mean().item() == pytest.approx(0.446, abs=0.004)
