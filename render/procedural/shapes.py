"""The shapes from which every model is built: lofts, lathes, sweeps, extrusions and rounded boxes.

All return a `Mesh` whose faces look outward. Lengths are in the builder's unit; angles are in degrees.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from render.procedural.meshes import Floats, Integers, Mesh
from render.procedural.outlines import Span, inset, ring_at, rounded_rectangle, signed_area, triangulate


def mesh_of(vertices: Floats, faces: Integers, uv: Floats) -> Mesh:
    """Makes a mesh of what was computed: faces without area are dropped, and faces look outward."""
    corners = vertices[faces]
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    solid = np.linalg.norm(cross, axis=1) > 1e-10
    mesh = Mesh(vertices, faces[solid], uv[solid])
    outward = (corners.mean(axis=1) - corners.reshape(-1, 3).mean(axis=0)) * cross
    return mesh if outward.sum() >= 0 else mesh.flipped()


def loft(rings: ArrayLike, caps: tuple[bool, bool] = (True, True)) -> Mesh:
    """A skin over closed rings (k, n, 3); u runs around each ring, v from the first to the last.

    `caps` say whether the first and the last ring are closed by a fan about their centre.
    """
    ring = np.asarray(rings, dtype=float)
    count, size, _ = ring.shape
    steps = np.linalg.norm(np.diff(ring, axis=0), axis=2).mean(axis=1)
    v = np.concatenate([[0.0], np.cumsum(steps)]) / max(float(steps.sum()), 1e-12)
    j, i = (grid.reshape(-1) for grid in np.meshgrid(np.arange(count - 1), np.arange(size), indexing="ij"))
    a, b = j * size + i, j * size + (i + 1) % size
    c, d = a + size, b + size
    u0, u1, v0, v1 = i / size, (i + 1) / size, v[j], v[j + 1]
    faces = [np.stack([a, b, d], 1), np.stack([a, d, c], 1)]
    uv = [np.array([[u0, u1, u1], [v0, v0, v1]]).T, np.array([[u0, u1, u0], [v0, v1, v1]]).T]
    vertices = [ring.reshape(-1, 3)]
    for end, closed in enumerate(caps):
        if not closed:
            continue
        row = end * (count - 1)
        center = count * size + len(vertices) - 1
        vertices.append(ring[row].mean(axis=0, keepdims=True))
        around = np.arange(size)
        here, following = row * size + around, row * size + (around + 1) % size
        pair = (following, here) if end == 0 else (here, following)
        faces.append(np.stack([*pair, np.full(size, center)], 1))
        share = np.column_stack([around / size, np.full(size, float(end))])
        uv.append(np.repeat(share[:, None], 3, axis=1))
    return mesh_of(np.concatenate(vertices), np.concatenate(faces), np.concatenate(uv))


def lathe(profile: ArrayLike, segments: int = 28, caps: tuple[bool, bool] = (False, False)) -> Mesh:
    """A surface of revolution about Y. Seen from outside u runs to the right; the front (-Z) is at u = 0.25.

    The profile (k, 2) is radius and height, up the outside (and down the inside); `segments` is the number of faces around.
    """
    radius, height = np.asarray(profile, dtype=float).T
    angle = -2 * np.pi * np.arange(segments) / segments
    circle = np.stack([np.cos(angle), np.zeros(segments), np.sin(angle)], axis=1)
    return loft(radius[:, None, None] * circle + height[:, None, None] * np.array([0.0, 1.0, 0.0]), caps)


def cylinder(radius: float, height: float, top: float | None = None, segments: int = 20) -> Mesh:
    """A cylinder, or a cone with another radius at the `top`, standing on y = 0."""
    return lathe([(radius, 0.0), (radius if top is None else top, height)], segments, (True, True))


def ball(radius: float, rings: int = 10, segments: int = 16) -> Mesh:
    """A sphere about the origin."""
    angle = np.linspace(-np.pi / 2, np.pi / 2, rings + 1)
    return lathe(np.stack([np.abs(np.cos(angle)), np.sin(angle)], axis=1) * radius, segments)


def disc(radius: float, thickness: float, rim: float = 0.25, segments: int = 24) -> Mesh:
    """A flat round plate with rounded edges, standing on y = 0; `rim` is the rounded share of it."""
    edge = rim * thickness
    profile = [(radius - edge, 0.0), (radius, edge), (radius, thickness - edge), (radius - edge, thickness)]
    return lathe(profile, segments, (True, True))


def box(width: float, height: float, depth: float, edge: float = 0.0, steps: int = 2) -> Mesh:
    """A box about the origin, x by y by z, its edges rounded with radius `edge` in `steps` steps."""
    half = np.array([width, height, depth]) / 2
    edge = min(edge, 0.49 * float(min(width, height, depth)))
    quarter = np.linspace(0.0, np.pi / 2, steps + 1) if edge > 0 else np.array([np.pi / 4])
    round_ = np.concatenate([quarter + turn * np.pi / 2 for turn in range(4)])
    signs = np.repeat([(1, 1), (-1, 1), (-1, -1), (1, -1)], len(quarter), axis=0)
    rise = np.concatenate([quarter - np.pi / 2, quarter])
    rise_sign = np.repeat([-1, 1], len(quarter))
    rings = []
    for latitude, sign in zip(rise, rise_sign, strict=True):
        x = signs[:, 0] * (half[0] - edge) + edge * np.cos(latitude) * np.cos(round_)
        z = signs[:, 1] * (half[2] - edge) + edge * np.cos(latitude) * np.sin(round_)
        y = np.full(len(x), sign * (half[1] - edge) + edge * np.sin(latitude))
        rings.append(np.stack([x, y, z], axis=1))
    return loft(rings)


def sweep(path: ArrayLike, radius: float | ArrayLike, sides: int = 10, flat: float = 1.0) -> Mesh:
    """A tube with closed ends along a path (k, 3), of one radius or of radii (k,).

    `sides` is the number of faces around; `flat` stretches the cross-section along its second direction, below 1 to a strap.
    """
    points = np.asarray(path, dtype=float)
    tangents = np.gradient(points, axis=0)
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.eye(3)[np.abs(tangents[0]).argmin()]
    angle = 2 * np.pi * (np.arange(sides) + 0.5) / sides
    radii = np.broadcast_to(np.asarray(radius, dtype=float), (len(points),))
    rings = []
    for point, tangent, size in zip(points, tangents, radii, strict=True):
        side = side - tangent * (side @ tangent)
        side = side / np.linalg.norm(side)
        across = np.cross(tangent, side)
        rings.append(point + size * (np.outer(np.cos(angle), side) + flat * np.outer(np.sin(angle), across)))
    return loft(rings)


def bar(start: ArrayLike, end: ArrayLike, radius: float, tip: float | None = None, sides: int = 10) -> Mesh:
    """A straight round bar between two points; `tip` is the radius at the end."""
    return sweep(np.stack([start, end]), [radius, radius if tip is None else tip], sides)


def beam(start: ArrayLike, end: ArrayLike, width: float, tip: float | None = None) -> Mesh:
    """A straight square bar between two points, `width` wide; `tip` is the width at the end."""
    root = np.sqrt(0.5)
    return bar(start, end, width * root, None if tip is None else tip * root, sides=4)


def extrude(outline: ArrayLike, depth: float, edge: float = 0.0) -> Mesh:
    """A plate in the x-y plane, from z = -depth/2 to depth/2, with a bevel of width `edge` at its rim.

    The outline is a simple polygon (n, 2) without repeated points.
    """
    flat = np.asarray(outline, dtype=float)
    if signed_area(flat) < 0:
        flat = flat[::-1]
    inner = inset(flat, edge) if edge > 0 else flat
    levels = [(inner, -depth / 2), (flat, edge - depth / 2), (flat, depth / 2 - edge), (inner, depth / 2)]
    if edge <= 0:
        levels = [levels[0], levels[3]]
    rings = np.stack([ring_at(points, z) for points, z in levels])
    skin = loft(rings, (False, False))
    ears = triangulate(flat)
    last = (len(levels) - 1) * len(flat)
    faces = np.concatenate([skin.faces, ears[:, ::-1], ears + last])
    uv = np.concatenate([skin.uv, np.zeros((2 * len(ears), 3, 2))])
    return mesh_of(rings.reshape(-1, 3), faces, uv)


def hull(stations: Sequence[tuple[float, float, Span]]) -> Mesh:
    """A body along z, as of a car: at each station's z, a rounded rectangle of a width in x from a lowest to a highest y."""
    rings = []
    for z, width, (low, high) in stations:
        outline = rounded_rectangle(width, high - low, 0.22 * min(width, high - low))
        rings.append(ring_at(outline + np.array([0.0, (low + high) / 2]), z))
    return loft(rings)


def wing(root: ArrayLike, tip: ArrayLike, chords: Span, thickness: float) -> Mesh:
    """A blade with a rounded nose towards -Z and a thin tail, as of an aeroplane.

    Args:
        root: Middle of the root's chord, (3,) float.
        tip: Middle of the tip's chord, (3,) float.
        chords: Lengths along z at the root and at the tip.
        thickness: Thickness at the root, across the blade.
    """
    start, end = np.asarray(root, dtype=float), np.asarray(tip, dtype=float)
    span = end - start
    up = np.cross(np.array([0.0, 0.0, 1.0]), span * np.array([1.0, 1.0, 0.0]))
    up /= np.linalg.norm(up)
    nose = np.array([(-0.5, 0.0), (-0.44, 0.35), (-0.25, 0.5), (0.1, 0.4), (0.5, 0.04)])
    section = np.concatenate([nose, nose[:0:-1] * np.array([1.0, -1.0])])
    rings = []
    for share in np.linspace(0.0, 1.0, 4):
        chord = chords[0] + share * (chords[1] - chords[0])
        thick = thickness * chord / chords[0]
        along = np.outer(section[:, 0] * chord, np.array([0.0, 0.0, 1.0]))
        rings.append(start + share * span + along + np.outer(section[:, 1] * thick, up))
    return loft(rings)
