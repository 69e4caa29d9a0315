import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.evaluation import equivariance
from iebench.evaluation.equivariance import MEASURES, equimod_measures, measure_equivariance
from parity_files import parity_folder, published_weights

OBJECTS, VIEWS = 30, 5


def plane(noise: float = 0.0) -> tuple[Tensor, Tensor]:
    """Embeddings that turn in a plane with the latent: (objects, views, 2) and (objects, views, 1)."""
    generator = torch.Generator().manual_seed(0)
    latents = 2 * math.pi * torch.rand(OBJECTS, VIEWS, 1, generator=generator, dtype=torch.float64)
    embeddings = torch.cat((latents.cos(), latents.sin()), dim=2).float()
    return embeddings + noise * torch.randn(embeddings.shape, generator=generator), latents


def told(first: Tensor, second: Tensor) -> Tensor:
    return second - first


def turn(embeddings: Tensor, angle: Tensor) -> Tensor:
    """The exact predictor of ``plane``."""
    x, y = embeddings.unbind(1)
    cos, sin = angle[:, 0].cos(), angle[:, 0].sin()
    return torch.stack((cos * x - sin * y, sin * x + cos * y), dim=1)


def values(predict, noise: float = 0.0) -> dict[str, float | None]:
    embeddings, latents = plane(noise)
    return {
        name: score.value for name, score in measure_equivariance(predict, told, embeddings, latents).items()
    }


def test_an_exact_predictor_has_no_error_and_composes_and_inverts():
    found = values(turn)
    assert set(found) == set(MEASURES)
    for name in ("equivariance_error", "composition_error", "inversion_error"):
        assert found[name] == pytest.approx(0, abs=1e-5)
    assert found["equimod_absolute"] > 0.5


def test_returning_the_source_scores_the_chance_level():
    embeddings, latents = plane()
    found = measure_equivariance(lambda space, _: space, told, embeddings, latents)
    for name in ("equivariance_error", "equimod_absolute", "equimod_relative"):
        assert found[name].value == pytest.approx(found[name].chance, abs=1e-6)
    for name in ("composition_error", "inversion_error"):
        assert found[name].estimate().value is None
        assert "divide by zero" in found[name].estimate().note


def test_the_error_is_the_ratio_of_the_two_distances_computed_by_hand():
    embeddings, latents = plane(0.2)
    found = values(turn, 0.2)
    missed, moved, back = 0.0, 0.0, 0.0
    for space, angle in zip(embeddings.double(), latents, strict=True):
        for view in range(1, VIEWS):
            step = angle[view] - angle[0]
            reached = turn(space[:1], step[None])[0]
            missed += (reached - space[view]).norm().item()
            moved += (space[0] - space[view]).norm().item()
            back += (turn(reached[None], -step[None])[0] - space[0]).norm().item()
    assert found["equivariance_error"] == pytest.approx(missed / moved, rel=1e-5)
    assert back == pytest.approx(0, abs=1e-9)


def test_a_predictor_that_turns_too_far_neither_composes_nor_is_exact():
    found = values(lambda space, angle: turn(space, angle + 0.3))
    # two steps are 0.3 rad further than one, on a circle of radius 1
    _, latents = plane()
    angles = latents[:, 1:, 0] - latents[:, :1, 0] + 0.3
    moved = (2 * (angles / 2).sin().abs()).mean().item()
    assert found["composition_error"] == pytest.approx(2 * math.sin(0.15) / moved, rel=1e-4)
    assert found["inversion_error"] == pytest.approx(2 * math.sin(0.3) / moved, rel=1e-4)


def test_the_view_in_between_is_neither_source_nor_target():
    between = equivariance._between(200, VIEWS)
    targets = torch.arange(1, VIEWS)
    assert ((between != targets) & (between > 0) & (between < VIEWS)).all()
    assert all(len(between[:, column].unique()) == VIEWS - 2 for column in range(VIEWS - 1))


def test_two_views_have_no_composition_and_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch):
    embeddings, latents = plane(0.2)
    whole = values(turn, 0.2)
    monkeypatch.setattr(equivariance, "PREDICTOR_NUMBERS_IN_MEMORY", 60)
    assert values(turn, 0.2) == pytest.approx(whole)
    pair = measure_equivariance(turn, told, embeddings[:, :2], latents[:, :2])
    assert set(pair) == set(MEASURES) - {"composition_error"}


def test_equimods_measures_equal_its_code():
    arrays = np.load(parity_folder("parity_equimod") / "simclr.npz")
    config = json.loads(str(arrays["config"]))
    weights = published_weights(config["shapes"], config["salt"])
    representations, parameters = (
        torch.from_numpy(arrays[f"in.{name}"]) for name in ("representations", "parameters")
    )

    def normalized(rows: Tensor, name: str) -> Tensor:
        return F.batch_norm(
            rows, None, None, weights.get(f"{name}.weight"), weights.get(f"{name}.bias"), training=True
        )

    space = representations
    for layer in (0, 3, 6):
        space = normalized(space @ weights[f"proj_head_eq.{layer}.weight"].T, f"proj_head_eq.{layer + 1}")
        space = space.relu() if layer < 6 else space
    original, views = space[: len(parameters) // 2].repeat(2, 1), space[len(parameters) // 2 :]
    embedded = normalized(parameters @ weights["proj_head_t.0.weight"].T, "proj_head_t.1")
    steered = torch.cat((original, embedded), dim=1) @ weights["predictor_eq.0.weight"].T
    absolute, relative = equimod_measures(normalized(steered, "predictor_eq.1"), views, original)
    expected = config["out"]
    assert absolute.mean().item() == pytest.approx(expected["absolute_equivariance"], rel=1e-9)
    assert relative.mean().item() == pytest.approx(expected["relative_equivariance"], rel=1e-9)
