"""Baked light: plain surfaces carry the shading of one studio, fixed to the object, as assets for real-time use do.

It tells how an object is turned even where its shape is ambiguous or small. Without it and without the shared
palettes, the demo's minutes are not enough to learn from (benchmarks/RESULTS.md, "The demo").
"""

from dataclasses import replace

import numpy as np

from render.procedural.colors import Color
from render.procedural.meshes import Image, Material, Mesh, Pieces, corner_normals

UP = np.array([0.0, 1.0, 0.0])
SIDE = np.array([0.6, 0.0, -0.8])  # the front looks towards -Z
WARM, COOL = np.array([1.35, 1.0, 0.5]), np.array([0.45, 0.8, 1.4])
PALE, DARK = 1.15, 0.3
LIFT = 0.1
"""Added to every paint, so that dark ones show their light too."""
SIZE = 16
"""Pixels of a swatch, across and down."""


def baked(parts: Pieces) -> Pieces:
    """Bakes light into every material of the parts that has no image of its own."""
    return [_lit(mesh, material) if material.image is None else (mesh, material) for mesh, material in parts]


def _lit(mesh: Mesh, material: Material) -> tuple[Mesh, Material]:
    """Covers a mesh by its swatch, where u is how much it looks to the warm side, and v how much upward."""
    normals = corner_normals(mesh)
    towards = np.stack([normals @ SIDE, normals @ UP], axis=-1)
    margin = 0.5 / SIZE
    uv = np.clip((towards + 1) / 2, margin, 1 - margin)
    return replace(mesh, uv=uv), replace(material, image=_swatch(material.color))


def _swatch(color: Color) -> Image:
    """Shows a color under every light of the studio: cool to warm from left to right, dark to pale from below."""
    warmth, height = np.meshgrid(np.linspace(0, 1, SIZE), np.linspace(1, 0, SIZE))
    tint = COOL + (WARM - COOL) * warmth[..., None]
    light = tint * (DARK + (PALE - DARK) * height[..., None])
    return np.round(255 * np.clip((np.array(color) + LIFT) * light, 0, 1)).astype(np.uint8)
