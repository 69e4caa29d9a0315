import json
import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from iebench.evaluation import r2, r2_per_component
from iebench.evaluation.scores import (
    accuracy_by_object,
    batch_r2,
    class_accuracy_by_object,
    constant_r2,
    majority_chance,
    median_angle_by_object,
    median_angle_degrees,
    r2_by_object,
    r2_per_component_by_object,
)
from iebench.methods.parts.transformations import quaternion_from_euler, relative_rotation
from parity_files import parity_folder

CASES = [f"{group}.{quality}" for group in ("rotation", "color") for quality in ("constant", "noisy", "poor")]


def published(case: str) -> tuple[Tensor, Tensor, float]:
    """Predictions, targets and the published R² of one case."""
    arrays = np.load(parity_folder("parity_images") / "r2.npz")
    target = torch.from_numpy(arrays[f"{case.partition('.')[0]}.target"])
    return torch.from_numpy(arrays[case]), target, json.loads(str(arrays["config"]))[case]


def poses(objects: int, views: int, seed: int = 0) -> Tensor:
    """(objects, views, 3) angles as 3DIEBench draws them, rad."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(objects, views, 3, generator=generator, dtype=torch.float64) - 0.5) * math.pi


def relative(angles: Tensor) -> Tensor:
    """(objects, views, 4) rotations from each view to the next of its object."""
    objects = len(angles)
    flat = relative_rotation(angles.flatten(0, 1), angles.roll(-1, 1).flatten(0, 1))
    return flat.unflatten(0, (objects, -1))


@pytest.mark.parametrize("case", CASES)
def test_r2_equals_the_published_code(case: str):
    predicted, expected, value = published(case)
    assert r2(predicted, expected) == pytest.approx(value, rel=1e-12, abs=1e-12)
    by_object = r2_by_object(predicted.unflatten(0, (80, 50)), expected.unflatten(0, (80, 50)))
    assert by_object.value == pytest.approx(value, rel=1e-12, abs=1e-12)
    assert batch_r2(predicted, expected).item() == pytest.approx(value, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_r2_per_component_is_the_mean_of_each_components_r2(case: str):
    predicted, expected, _ = published(case)
    by_hand = np.mean(
        [
            1 - ((t - p) ** 2).sum() / ((t - t.mean()) ** 2).sum()
            for p, t in zip(predicted.numpy().T, expected.numpy().T, strict=True)
        ]
    )
    assert r2_per_component(predicted, expected) == pytest.approx(by_hand, rel=1e-12, abs=1e-12)


def test_a_constant_predictor_scores_what_the_floor_says():
    angles = poses(4000, 10)
    single = quaternion_from_euler(angles.flatten(0, 1))
    pairs = relative(angles)
    assert constant_r2(pairs) == pytest.approx(0.231, abs=0.005)
    assert constant_r2(single) == pytest.approx(0.459, abs=0.005)
    mean = single.mean(dim=0).expand_as(single)
    assert r2(mean, single) == constant_r2(single)
    assert r2_per_component(mean, single) == pytest.approx(0, abs=1e-9)
    score = median_angle_by_object(pairs, pairs)
    assert score.value == pytest.approx(0, abs=1e-4)
    assert score.chance == pytest.approx(110.5, abs=1)
    assert r2_by_object(pairs, pairs).chance == constant_r2(pairs)
    assert r2_per_component_by_object(pairs, pairs).chance == 0


def test_targets_that_do_not_vary_give_no_number_rather_than_infinity():
    expected = torch.full((8, 3), 0.3)
    predicted = torch.rand(8, 3)
    assert r2(predicted, expected) is None
    assert r2_per_component(predicted, expected) is None
    assert r2_by_object(predicted[None], expected[None]).estimate().value is None
    assert math.isnan(batch_r2(predicted, expected))


def test_components_that_do_not_vary_are_left_out_of_the_mean():
    about_z = torch.zeros(100, 2, 3, dtype=torch.float64)
    about_z[..., 2] = poses(100, 2)[..., 2]
    expected = relative(about_z).flatten(0, 1)
    noisy = expected + 0.1 * torch.randn(200, 4, generator=torch.Generator().manual_seed(0))
    found = r2_per_component(noisy, expected)
    assert found == pytest.approx(r2_per_component(noisy[:, 2:], expected[:, 2:]))
    assert 0.5 < found < 1


def test_predicting_the_mean_scores_zero_per_component():
    expected = torch.randn(100, 4, generator=torch.Generator().manual_seed(0))
    assert r2_per_component(expected.mean(dim=0).expand(100, 4), expected) == pytest.approx(0, abs=1e-6)


def test_the_angle_ignores_the_quaternions_sign_and_length():
    expected = torch.from_numpy(Rotation.random(9, random_state=0).as_quat())
    turned = torch.from_numpy(
        (Rotation.from_quat(expected.numpy()) * Rotation.from_euler("z", 0.3)).as_quat()
    )
    assert median_angle_degrees(-3 * turned, expected) == pytest.approx(math.degrees(0.3), abs=1e-4)


def test_each_class_counts_alike_in_the_mean_over_classes():
    labels = torch.tensor([0, 0, 0, 2])
    hits = torch.tensor([[True, True], [True, True], [True, False], [False, False]])
    score = class_accuracy_by_object(hits, labels, 4)
    assert score.value == pytest.approx((5 / 6 + 0) / 2)
    assert score.chance == 0.5  # two classes have objects
    plain = accuracy_by_object(hits, 0.75)
    assert plain.value == pytest.approx(5 / 8)
    assert plain.estimate().chance == 0.75


def test_the_majority_classes_are_those_of_the_training_split():
    train = torch.tensor([0, 1, 1, 1, 2, 2])
    val = torch.tensor([0, 0, 0, 1, 2])
    assert majority_chance(train, val) == pytest.approx(1 / 5)
    assert majority_chance(train, val, k=2) == pytest.approx(2 / 5)
    assert majority_chance(train, val, k=5) == 1


def test_the_majority_of_no_objects_has_no_chance_level():
    assert majority_chance(torch.tensor([0, 1, 1]), torch.empty(0, dtype=torch.int64)) is None
