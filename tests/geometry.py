"""What the camera of the scene sees of an ellipsoid above the floor, worked out without Blender."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from models import write_model

FIELD_OF_VIEW = 0.6911110281944275  # rad, of tests/data/scene.json
_HALF = math.sqrt(0.5)
EYE = 2.5 * np.array([0.0, _HALF, _HALF])
AXES = np.array([[-1.0, 0.0, 0.0], [0.0, -_HALF, _HALF], [0.0, _HALF, _HALF]])
"""The camera's x (right), y (up) and z (backwards), in the axes of the world."""
FLOOR = -1.0


@dataclass(frozen=True)
class Seen:
    """Per pixel: whether its centre sees the ellipsoid, how far that is, and the normal there.

    Attributes:
        mask: (size, size) bool.
        depth: (size, size) float, metres along the camera's axis.
        normal: (size, size, 3) float, in the camera's axes.
        clearance: (size, size) float: how near the ray comes to the outline; 0 is on it, 1 at the centre.
    """

    mask: np.ndarray
    depth: np.ndarray
    normal: np.ndarray
    clearance: np.ndarray


def seen(radii: tuple[float, float, float], latents: np.ndarray, size: int) -> Seen:
    """What is seen of an ellipsoid whose radii lie along x, y and z before the latents turn and move it."""
    steps = ((np.arange(size) + 0.5) / size * 2 - 1) * math.tan(FIELD_OF_VIEW / 2)
    across, up = np.meshgrid(steps, -steps)
    rays = (
        np.stack([across, up, -np.ones_like(up)], axis=-1) @ AXES
    )  # as long as they are deep: 1 along the axis
    turn = Rotation.from_euler("xyz", latents[:3]).as_matrix()
    position = np.array(latents[7:10]) if len(latents) > 7 else np.zeros(3)
    to_ball = turn / np.array(
        radii
    )  # row vectors in the world become ones in which the ellipsoid is a unit ball
    start, direction = (EYE - position) @ to_ball, rays @ to_ball
    square, half = (direction**2).sum(-1), direction @ start
    discriminant = half**2 - square * (start @ start - 1)
    near = (-half - np.sqrt(np.maximum(discriminant, 0))) / square
    floor = (FLOOR - EYE[2]) / rays[..., 2]
    mask = (discriminant > 0) & (near < floor)
    surface = (start + near[..., None] * direction) @ to_ball.T
    normal = np.where(
        mask[..., None], surface / np.linalg.norm(surface, axis=-1, keepdims=True), (0.0, 0.0, 1.0)
    )
    closest = np.sqrt(np.maximum(start @ start - half**2 / square, 0))
    return Seen(mask, np.where(mask, near, floor), normal @ AXES.T, np.abs(1 - closest))


def write_ellipsoid(folder: Path, radii: tuple[float, float, float], rings: int = 128) -> Path:
    """A finely tessellated ellipsoid with smooth normals; radii along x, y and z of the scene, whose z is up."""
    polar = np.linspace(0, math.pi, rings + 1)
    azimuth = np.linspace(0, 2 * math.pi, 2 * rings, endpoint=False)
    theta, phi = (grid.ravel() for grid in np.meshgrid(polar, azimuth, indexing="ij"))
    ball = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    lines = ["s 1"]
    for name, values in (("v", ball * radii), ("vn", ball / radii)):
        if name == "vn":
            values = values / np.linalg.norm(values, axis=1, keepdims=True)
        lines += [f"{name} {x:.9f} {z:.9f} {-y:.9f}" for x, y, z in values]  # the file has +Y up
    for ring in range(rings):
        for step in range(2 * rings):
            corners = [(ring, step), (ring + 1, step), (ring + 1, step + 1), (ring, step + 1)]
            numbers = [1 + row * 2 * rings + column % (2 * rings) for row, column in corners]
            lines.append("f " + " ".join(f"{number}//{number}" for number in numbers))
    return write_model(folder, "\n".join(lines) + "\n")
