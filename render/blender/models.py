"""Turns imported objects into the one object of the scene."""

from dataclasses import dataclass

import bpy
import numpy as np

from render.blender.faces import mend_faces, read_field
from render.blender.materials import show_colors
from render.model_errors import ModelError
from render.sources.soundness import NO_FACES, NOT_FINITE, require_extent

UNIT_TOLERANCE = 0.01
"""Largest deviation of a diagonal from 1 that needs no scaling."""

MOST_FACES = 20_000_000
"""Largest number of faces of a model; each takes a few hundred bytes in Blender and in Cycles."""

LARGE_MESH = 100_000
"""Faces from which a tenth of the time of a view goes to building the acceleration structure (benchmarks/RESULTS.md)."""


@dataclass(frozen=True)
class ModelChanges:
    """The changes that a model needed before it could be shown.

    Attributes:
        scale: Factor by which the model was scaled; None if it has its own size.
        notes: Parts of the model that are missing.
    """

    scale: float | None = None
    notes: tuple[str, ...] = ()


def one_centered_object(
    imported: "list[bpy.types.Object]", rescaled: bool, drop_coincident: bool, by_position: bool
) -> "tuple[bpy.types.Object, float | None]":
    """Makes one object of the imported meshes, its bounding box centred at the origin, and deletes all else.

    Args:
        imported: Objects of any kind.
        rescaled: True if the model is scaled to a unit diagonal.
        drop_coincident: Whether one face is kept of each set, as ``mend_faces`` has it.
        by_position: Whether vertices at the same position count as the same, as ``mend_faces`` has it.

    Returns:
        The object, and the factor it was scaled by or None.

    Raises:
        ModelError: There is no face, or no finite geometry, or too much of it.
    """
    meshes = [item for item in imported if item.type == "MESH" and len(item.data.polygons) > 0]
    if not meshes:
        raise ModelError(NO_FACES)
    faces = sum(len(item.data.polygons) for item in meshes)
    if faces > MOST_FACES:
        raise ModelError(f"it has {faces:,} faces; at most {MOST_FACES:,} can be rendered")
    for item in imported:
        if item not in meshes:
            bpy.data.objects.remove(item, do_unlink=True)
    mend_faces({item.data.name: item.data for item in meshes}.values(), drop_coincident, by_position)
    for item in meshes:
        show_colors(item)
    item = _joined(meshes)
    scale = _center(item, rescaled)
    item.rotation_mode = "XYZ"
    return item, scale


def _joined(meshes: "list[bpy.types.Object]") -> "bpy.types.Object":
    """One object of several, with the importer's change of axes baked into its vertices."""
    bpy.ops.object.select_all(action="DESELECT")
    for item in meshes:
        item.select_set(True)
        if item.data.users > 1:  # instances of one mesh
            item.data = item.data.copy()
    bpy.context.view_layer.objects.active = meshes[0]
    if len(meshes) > 1:
        bpy.ops.object.join()
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    return bpy.context.view_layer.objects.active


def _center(item: "bpy.types.Object", rescaled: bool) -> float | None:
    """Moves the vertices so that their bounding box is centred at the origin, and scales them if asked."""
    vertices = read_field(item.data.vertices, "co", np.float32, 3)
    if not np.isfinite(vertices).all():
        raise ModelError(NOT_FINITE)
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    require_extent(float((high - low).max()), rescaled)
    vertices -= (low + high) / 2
    scale = None
    diagonal = float(np.linalg.norm((high - low).astype(np.float64)))
    if rescaled and abs(diagonal - 1) > UNIT_TOLERANCE:
        scale = 1 / diagonal
        vertices *= np.float32(scale)
    item.data.vertices.foreach_set("co", vertices.reshape(-1))
    item.data.update()
    return scale


def share_large_mesh(item: "bpy.types.Object") -> None:
    """Gives a mesh of very many faces a second user that no ray meets.

    Cycles moves the vertices of a mesh that has one user into place and builds its acceleration structure anew
    for each view; a mesh with two users keeps it, and only the object moves. An object that no ray can see is
    left out altogether, so this one is seen by transmitted rays, of which this scene has none.

    Smaller meshes are left alone: which of two faces in one plane is seen is decided by rounding, and the published
    scene rounds vertices that were moved into place.
    """
    if len(item.data.polygons) < LARGE_MESH:
        return
    second = bpy.data.objects.new("second user of the mesh", item.data)
    second.visible_camera = second.visible_diffuse = second.visible_glossy = False
    second.visible_shadow = second.visible_volume_scatter = False
    bpy.context.scene.collection.objects.link(second)
