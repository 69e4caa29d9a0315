"""Smooth curves and closed outlines, from which shapes are drawn."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from render.procedural.meshes import Floats, Integers

Span = tuple[float, float]


def curve(points: ArrayLike, count: int = 16) -> Floats:
    """A smooth curve through the points (k, d), without overshoot: (count, d) float, equally spaced along the chords."""
    knots = np.asarray(points, dtype=float)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    return np.asarray(PchipInterpolator(along, knots)(np.linspace(0.0, along[-1], count)))


def rounded_rectangle(width: float, height: float, radius: float, steps: int = 4) -> Floats:
    """An outline about the origin with rounded corners: (4 * (steps + 1), 2) float."""
    radius = min(radius, 0.499 * width, 0.499 * height)
    quarter = np.linspace(0.0, np.pi / 2, steps + 1)
    arcs = []
    for turn, (x, y) in enumerate([(1, 1), (-1, 1), (-1, -1), (1, -1)]):
        angle = quarter + turn * np.pi / 2
        center = np.array([x * (width / 2 - radius), y * (height / 2 - radius)])
        arcs.append(center + radius * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    return np.concatenate(arcs)


def ellipse(width: float, height: float, count: int = 28) -> Floats:
    """An outline about the origin: (count, 2) float."""
    angle = 2 * np.pi * np.arange(count) / count
    return np.stack([width / 2 * np.cos(angle), height / 2 * np.sin(angle)], axis=1)


def ring_at(outline: Floats, z: float) -> Floats:
    """The ring (n, 3) that an outline (n, 2) is when it lies at a given z."""
    return np.column_stack([outline, np.full(len(outline), z)])


def inset(outline: Floats, distance: float) -> Floats:
    """A counter-clockwise outline drawn inward by about `distance`; less far at sharp corners."""
    edges = np.roll(outline, -1, axis=0) - outline
    normals = np.stack([-edges[:, 1], edges[:, 0]], axis=1)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    mean = normals + np.roll(normals, 1, axis=0)
    return outline + distance * 2 * mean / np.maximum((mean**2).sum(axis=1, keepdims=True), 0.4)


def triangulate(outline: Floats) -> Integers:
    """Cuts a counter-clockwise simple polygon by clipping ears into triangles (n - 2, 3), also counter-clockwise."""
    left = list(range(len(outline)))
    triangles: list[tuple[int, int, int]] = []
    position = 0
    while len(left) > 3:
        tries = [(position + step) % len(left) for step in range(len(left))]
        ear = next((corner for corner in tries if _is_ear(outline, left, corner)), position % len(left))
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        del left[ear]
        position = ear + 1  # so that ears are cut all around, not off one corner
    triangles.append((left[0], left[1], left[2]))
    return np.array(triangles, dtype=np.int64)


def _is_ear(outline: Floats, left: list[int], position: int) -> bool:
    """Whether the corner at a position turns left and holds no other corner."""
    indices = [left[position - 1], left[position], left[(position + 1) % len(left)]]
    a, b, c = outline[indices]
    if _cross(b - a, c - a) <= 1e-12:
        return False
    others = outline[[index for index in left if index not in indices]]
    inside = (_cross(b - a, others - a) >= 0) & (_cross(c - b, others - b) >= 0)
    return not bool((inside & (_cross(a - c, others - c) >= 0)).any())


def _cross(a: Floats, b: Floats) -> Floats:
    return a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]


def signed_area(outline: Floats) -> float:
    """The area within an outline; negative if it runs clockwise."""
    return float(_cross(outline, np.roll(outline, -1, axis=0)).sum() / 2)
