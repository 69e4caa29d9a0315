import numpy as np
import torch
from scipy.spatial.transform import Rotation

from iebench.transformations import quaternion_from_euler, relative_rotation, relative_transformation


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
