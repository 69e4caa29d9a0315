import numpy as np
import torch
from scipy.spatial.transform import Rotation

from iebench.methods.parts.transformations import (
    groups_of,
    light_direction,
    quaternion_from_euler,
    relative_rotation,
    relative_transformation,
)
from shards.variants import VARIANTS


def angles(seed: int, count: int = 2000) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2 * np.pi, 2 * np.pi, (count, 3))


def test_quaternions_equal_scipys_sign_included():
    drawn = angles(0)
    expected = Rotation.from_euler("xyz", drawn).as_quat()
    np.testing.assert_allclose(quaternion_from_euler(torch.from_numpy(drawn)).numpy(), expected, atol=1e-12)


def test_relative_rotations_equal_scipys_sign_included():
    first, second = angles(1), angles(2)
    expected = (Rotation.from_euler("xyz", first).inv() * Rotation.from_euler("xyz", second)).as_quat()
    found = relative_rotation(torch.from_numpy(first), torch.from_numpy(second)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_groups_stand_side_by_side_in_the_order_asked_for():
    names = ["rotation_x", "rotation_y", "rotation_z", "floor_hue", "light_theta", "light_phi", "light_hue"]
    first, second = torch.rand(5, 7, dtype=torch.float64), torch.rand(5, 7, dtype=torch.float64)
    both = relative_transformation(first, second, ["rotation", "color"], names)
    assert both.shape == (5, 6)
    assert torch.equal(both[:, :4], relative_rotation(first[:, :3], second[:, :3]))
    assert torch.equal(both[:, 4:], (second - first)[:, [3, 6]])


def test_the_groups_of_a_dataset_are_those_whose_latents_it_has():
    standard = [latent.name for latent in VARIANTS["3diebench"]]
    assert groups_of(standard) == ("rotation", "color", "light")
    assert groups_of([latent.name for latent in VARIANTS["translated"]]) == (
        *groups_of(standard),
        "translation",
    )


def test_light_and_translation_are_differences_of_a_unit_vector_and_of_a_place():
    names = [latent.name for latent in VARIANTS["translated"]]
    first, second = torch.rand(5, 10, dtype=torch.float64), torch.rand(5, 10, dtype=torch.float64)
    found = relative_transformation(first, second, ["light", "translation"], names)
    assert torch.equal(found[:, 3:], (second - first)[:, 7:])
    directions = light_direction(second[:, [4, 5]])
    torch.testing.assert_close(directions.norm(dim=1), torch.ones(5, dtype=torch.float64))
    torch.testing.assert_close(found[:, :3], directions - light_direction(first[:, [4, 5]]))


def test_a_light_that_goes_once_around_has_not_moved():
    before, after = torch.tensor([[0.5, 0.1]]), torch.tensor([[0.5, 0.1 + 2 * torch.pi]])
    torch.testing.assert_close(light_direction(before), light_direction(after))
