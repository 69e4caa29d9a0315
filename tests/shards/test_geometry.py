"""Cameras and objects stand where the published scene has them, and where a depth image shows them."""

import json

import numpy as np
import pytest

from geometry import seen
from shards.geometry import camera_intrinsics, camera_to_world, object_to_world, scene_camera, world_points
from shards.schema import CameraInfo, SampleMetadata
from shards.variants import VARIANTS

RADII = (0.5, 0.3, 0.2)
LATENTS = (0.4, -0.9, 1.1, 0.5, 0.3, 2.0, 0.1, 0.2, -0.1, 0.3)


def metadata(latents=LATENTS, scale=None):
    return SampleMetadata(synset="1", object="a", view=0, label=0, latents=latents, scale=scale)


def test_the_camera_is_that_of_the_published_scene(golden_data):
    scene = json.loads((golden_data / "scene.json").read_text())["camera"]
    assert np.allclose(camera_to_world("opengl"), scene["matrix"], atol=1e-6)
    half = 128 / camera_intrinsics(256)[0, 0]
    assert 2 * np.arctan(half) == pytest.approx(scene["angle"])


def test_the_index_of_a_dataset_with_passes_records_the_camera_exactly():
    camera = CameraInfo.model_validate_json(scene_camera(96).model_dump_json())
    assert np.array_equal(camera.intrinsics, camera_intrinsics(96))
    assert np.array_equal(camera.camera_to_world, camera_to_world("opencv"))


def test_both_conventions_are_one_camera_with_other_axes():
    opengl, opencv = camera_to_world("opengl"), camera_to_world("opencv")
    assert np.array_equal(opengl[:, 0], opencv[:, 0]) and np.array_equal(opengl[:, 3], opencv[:, 3])
    assert np.array_equal(opengl[:, 1:3], -opencv[:, 1:3])
    assert np.allclose(opencv[:3, 2], -opencv[:3, 3] / 2.5), "it looks at the origin"
    assert np.linalg.det(opengl[:3, :3]) == pytest.approx(1) == np.linalg.det(opencv[:3, :3])


def test_the_origin_is_seen_in_the_middle_of_the_image():
    point = np.linalg.inv(camera_to_world("opencv")) @ [0, 0, 0, 1]
    assert np.allclose(camera_intrinsics(96) @ (point[:3] / point[2]), [48, 48, 1])


def test_points_of_a_depth_image_are_on_the_object_and_on_the_floor():
    truth = seen(RADII, np.array(LATENTS), 64)
    points = world_points(truth.depth)
    own = np.linalg.inv(object_to_world(metadata(), VARIANTS["translated"]))
    inside = points[truth.mask] @ own[:3, :3].T + own[:3, 3]
    assert truth.mask.sum() > 100
    assert np.allclose(((inside / RADII) ** 2).sum(axis=-1), 1, atol=1e-6)
    assert np.allclose(points[~truth.mask][:, 2], -1)


def test_scale_is_in_the_matrix_and_moves_nothing():
    one, two = (object_to_world(metadata(scale=scale), VARIANTS["translated"]) for scale in (None, 2.0))
    assert np.allclose(two[:3, :3], 2 * one[:3, :3]) and np.array_equal(one[:3, 3], LATENTS[7:])
    untouched = object_to_world(metadata((0.0,) * 7), VARIANTS["3diebench"])
    assert np.array_equal(untouched, np.eye(4))
