"""Joins meshes: as they are, with their mirror images, in a row, or in a ring."""

import numpy as np

from render.procedural.meshes import Mesh


def join(*meshes: Mesh) -> Mesh:
    """All meshes as one."""
    offsets = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes[:-1]])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in meshes]),
        np.concatenate([mesh.faces + offset for mesh, offset in zip(meshes, offsets, strict=True)]),
        np.concatenate([mesh.uv for mesh in meshes]),
    )


def both_sides(*meshes: Mesh) -> Mesh:
    """The meshes and their mirror images in x."""
    right = join(*meshes)
    return join(right, right.mirrored())


def corners(x: float, z: float) -> list[tuple[float, float]]:
    """The corners (x, z) of a rectangle about the origin, from the one where both are positive."""
    return [(side * x, end * z) for side in (-1, 1) for end in (-1, 1)]


def in_row(count: int, pitch: float) -> list[float]:
    """The middles of `count` copies in a row about 0, one `pitch` apart."""
    return [(index - (count - 1) / 2) * pitch for index in range(count)]


def row_of(mesh: Mesh, count: int, pitch: float) -> Mesh:
    """`count` copies of the mesh in a row along x, one `pitch` apart; the mesh stands in its middle."""
    return join(*(mesh.moved(x) for x in in_row(count, pitch)))


def ring_of(mesh: Mesh, count: int, axis: str = "y", start: float = 0.0) -> Mesh:
    """`count` copies of the mesh around an axis, at equal angles; the first is turned by `start` degrees."""
    return join(*(mesh.turned(axis, start + turn) for turn in np.arange(count) * 360 / count))
