"""The components of procedural models: meshes with materials, in ShapeNet's frame.

The frame is ShapeNet v2's: +Y is up, the front looks towards -Z. Builders work in any unit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from trimesh.transformations import rotation_matrix

from render.procedural.colors import Color

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Image = NDArray[np.uint8]

_AXES = {"x": (1.0, 0.0, 0.0), "y": (0.0, 1.0, 0.0), "z": (0.0, 0.0, 1.0)}


@dataclass(frozen=True)
class Mesh:
    """A surface of triangles, seen from outside counter-clockwise.

    Attributes:
        vertices: Positions (n, 3) float, in the builder's unit.
        faces: Indices (m, 3) int into `vertices`.
        uv: Texture coordinates (m, 3, 2) float of each corner of each face; 1 is one width of the image.
    """

    vertices: Floats
    faces: Integers
    uv: Floats

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Mesh:
        return replace(self, vertices=self.vertices + np.array([x, y, z]))

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Mesh:
        """Stretches along each axis; faces look outward as before if the product of the factors is positive."""
        return replace(self, vertices=self.vertices * np.array([x, y, z]))

    def turned(self, axis: str, degrees: float) -> Mesh:
        """Turns about the origin, right-handed, about "x", "y" or "z"."""
        turn = rotation_matrix(np.radians(degrees), _AXES[axis])[:3, :3]
        return replace(self, vertices=self.vertices @ turn.T)

    def mirrored(self) -> Mesh:
        """The other hand: x becomes -x, and faces still look outward."""
        return self.scaled(x=-1).flipped()

    def flipped(self) -> Mesh:
        """Turns the surface so that it faces the other way."""
        return replace(self, faces=self.faces[:, ::-1], uv=self.uv[:, ::-1])

    def projected(self, scale: float = 1.0, along: str = "x") -> Mesh:
        """Gives texture coordinates by projecting each face along the axis it looks at most.

        Args:
            scale: Number of builder units that one image covers.
            along: The axis along which the image's width runs, where a face allows it.
        """
        corners = self.vertices[self.faces]
        facing = np.abs(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])).argmax(axis=1)
        first = "xyz".index(along)
        others = [axis for axis in range(3) if axis != first]
        width = np.where(facing == first, others[0], first)
        height = np.where(facing == others[1], others[0], others[1])
        rows = np.arange(len(self.faces))
        uv = np.stack([corners[rows, :, width], corners[rows, :, height]], axis=-1) / scale
        return replace(self, uv=uv)

    def fitted(self, right: str, up: str) -> Mesh:
        """Gives texture coordinates so that one image fills the bounding box, seen along the third axis.

        Args:
            right: Axis, with sign, along which the image runs to the right, for example "-x".
            up: Axis, with sign, along which the image runs upward, for example "+y".
        """
        planes = []
        for name in (right, up):
            values = self.vertices[:, "xyz".index(name[1])]
            share = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
            planes.append(1.0 - share if name[0] == "-" else share)
        return replace(self, uv=np.stack(planes, axis=-1)[self.faces])


@dataclass(frozen=True)
class Material:
    """The looks of a surface, as a Wavefront MTL can describe them.

    Attributes:
        name: Unique within a model, for what it covers.
        color: SRGB in [0, 1]; ignored where there is an image.
        specular: Strength of the highlight in [0, 1].
        shininess: Ns of the MTL in [0, 1000].
        image: Image (height, width, 3) uint8 sRGB, or None.
    """

    name: str
    color: Color
    specular: float = 0.1
    shininess: float = 20.0
    image: Image | None = None


Pieces = list[tuple[Mesh, Material]]
"""Meshes, each with its material."""


@dataclass(frozen=True)
class ProceduralModel:
    """One object: the WordNet offset of its class ("02691156"), its name ("airplane-0003") and its normalized, baked parts."""

    synset: str
    object_id: str
    parts: Pieces

    @property
    def materials(self) -> list[Material]:
        """Each material once, in order of first use."""
        return list({material.name: material for _, material in self.parts}.values())


def normalized(pieces: Pieces) -> Pieces:
    """Moves the bounding box's centre to the origin and scales its diagonal to 1."""
    points = np.concatenate([mesh.vertices[mesh.faces].reshape(-1, 3) for mesh, _ in pieces])
    low, high = points.min(axis=0), points.max(axis=0)
    center, diagonal = (low + high) / 2, np.linalg.norm(high - low)
    return [
        (replace(mesh, vertices=(mesh.vertices - center) / diagonal), material) for mesh, material in pieces
    ]


def corner_normals(mesh: Mesh) -> Floats:
    """Unit normals (m, 3, 3) of each corner of each face, which shade smoothly across gentle edges and break at sharp ones.

    Each corner gets the area-weighted mean over the faces that share its position and differ from its own
    face by less than 50 degrees.
    """
    _, position = np.unique(np.round(mesh.vertices * 1e6).astype(np.int64), axis=0, return_inverse=True)
    corner_position = position.reshape(-1)[mesh.faces].reshape(-1)
    corners = mesh.vertices[mesh.faces]
    weighted = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    unit = weighted / np.maximum(np.linalg.norm(weighted, axis=1, keepdims=True), 1e-20)

    order = np.argsort(corner_position, kind="stable")
    sizes = np.bincount(corner_position)
    starts = np.cumsum(sizes) - sizes
    neighbors = sizes[corner_position]  # how many corners meet where this one is
    first = np.repeat(np.arange(len(corner_position)), neighbors)
    within = np.arange(len(first)) - np.repeat(np.cumsum(neighbors) - neighbors, neighbors)
    second = order[starts[corner_position[first]] + within]

    gentle = (unit[first // 3] * unit[second // 3]).sum(axis=1) > np.cos(np.radians(50.0))
    first, second = first[gentle], second[gentle]
    total = np.stack(
        [np.bincount(first, weighted[second // 3, axis], len(corner_position)) for axis in range(3)], 1
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return (total / np.maximum(length, 1e-20)).reshape(-1, 3, 3)
