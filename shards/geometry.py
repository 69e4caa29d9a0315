"""Computes the positions of the camera and the object in every view of the scene.

World coordinates are in metres with z up. The origin is the centre of an object that is not translated, and the floor
is at z = -1. Matrices are for column vectors: ``world = matrix @ [x, y, z, 1]``. A camera's axes have two conventions:

==========  ==========================================================
``opengl``  x to the right of the image, y up, z towards the camera
``opencv``  x to the right of the image, y down, z away from the camera
==========  ==========================================================

Pixel coordinates are u to the right and v down; the centre of the first pixel is (0.5, 0.5). A point ``(x, y, z)`` in a
camera's ``opencv`` axes is seen at ``[u, v, 1] = camera_intrinsics(size) @ [x / z, y / z, 1]``, and its depth is z.
"""

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.spatial.transform import Rotation

from shards.schema import CameraInfo, SampleMetadata
from shards.variants import Latent

CameraAxes = Literal["opengl", "opencv"]

FIELD_OF_VIEW = 0.6911110281944275
"""Field of view across the whole square image, in radians."""
CAMERA_DISTANCE = 2.5
"""Distance in metres from the camera to the origin. The camera looks at the origin from 45 degrees above."""

_HALF = math.sqrt(0.5)
_OPENGL = np.array(
    [
        [-1.0, 0.0, 0.0, 0.0],
        [0.0, -_HALF, _HALF, CAMERA_DISTANCE * _HALF],
        [0.0, _HALF, _HALF, CAMERA_DISTANCE * _HALF],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
_FLIP = np.diag([1.0, -1.0, -1.0, 1.0])


def camera_intrinsics(image_size: int) -> np.ndarray:
    """Returns the (3, 3) intrinsic matrix of a square image of ``image_size`` pixels: from ``opencv`` camera axes to pixels."""
    focal = image_size / 2 / math.tan(FIELD_OF_VIEW / 2)
    return np.array([[focal, 0.0, image_size / 2], [0.0, focal, image_size / 2], [0.0, 0.0, 1.0]])


def camera_to_world(axes: CameraAxes = "opengl") -> np.ndarray:
    """Returns the (4, 4) matrix from camera coordinates to world coordinates, which is the same in all views."""
    return _OPENGL.copy() if axes == "opengl" else _OPENGL @ _FLIP


def scene_camera(image_size: int) -> CameraInfo:
    """Returns the scene's camera, for images of a size in pixels, in the form that ``dataset.json`` records."""
    return CameraInfo.model_validate(
        {
            "intrinsics": camera_intrinsics(image_size).tolist(),
            "camera_to_world": camera_to_world("opencv").tolist(),
        }
    )


def object_to_world(metadata: SampleMetadata, latents: Sequence[Latent]) -> np.ndarray:
    """Returns the (4, 4) matrix from the model's coordinates to world coordinates in one view.

    The origin of the model's coordinates is the centre of its bounding box, and z is up: a file with y up (OBJ, glTF)
    has x, y, z where the model has x, z, -y. The matrix includes the model's ``scale``.

    Args:
        metadata: Metadata of the view.
        latents: Latents of the dataset, in order.

    Raises:
        KeyError: The dataset's latents include no rotation.
    """
    values = dict(zip((latent.name for latent in latents), metadata.latents, strict=True))
    turn = Rotation.from_euler("xyz", [values[f"rotation_{axis}"] for axis in "xyz"]).as_matrix()
    matrix = np.eye(4)
    matrix[:3, :3] = turn * (1.0 if metadata.scale is None else metadata.scale)
    matrix[:3, 3] = [values.get(f"translation_{axis}", 0.0) for axis in "xyz"]
    return matrix


def world_points(depth: np.ndarray) -> np.ndarray:
    """Returns (height, width, 3) world coordinates in metres of the point that is seen at each pixel's centre.

    Args:
        depth: (height, width) metres along the camera's axis, from ``View.depth``.
    """
    size = len(depth)
    centers = np.arange(size) + 0.5
    u, v = np.meshgrid(centers, centers)
    rays = np.stack([u, v, np.ones_like(u)], axis=-1) @ np.linalg.inv(camera_intrinsics(size)).T
    matrix = camera_to_world("opencv")
    return (rays * depth[..., None]) @ matrix[:3, :3].T + matrix[:3, 3]
