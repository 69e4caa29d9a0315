"""A model file becomes the one object of the scene."""

import re
from pathlib import Path

import bpy
import numpy as np

from render.errors import ModelError
from render.settings import LARGEST_EXTENT

_NOT_FINITE = re.compile(rb"^[ \t]*v[ \t][^\n#]*\b(?:nan|inf(?:inity)?)\b", re.IGNORECASE | re.MULTILINE)


def import_model(path: Path) -> None:
    """Imports a Wavefront OBJ file (+Y up, metres) into the scene.

    Raises:
        ModelError: the file is missing, does not parse, or holds coordinates that are not finite.
    """
    _require_finite_text(path)
    try:
        bpy.ops.wm.obj_import(filepath=str(path), forward_axis="NEGATIVE_Z", up_axis="Y")
    except RuntimeError as error:
        raise ModelError(f"Blender cannot import it: {str(error).strip()}") from error


def one_centred_object(imported: "list[bpy.types.Object]") -> "bpy.types.Object":
    """Makes one object of what was imported, its bounding box centred at the origin, not rescaled.

    Raises:
        ModelError: there is no face, or no finite geometry.
    """
    meshes = [item for item in imported if item.type == "MESH" and len(item.data.polygons) > 0]
    if not meshes:
        raise ModelError("it holds no faces")
    item = _joined(meshes)
    _centre(item)
    item.rotation_mode = "XYZ"
    return item


def _require_finite_text(path: Path) -> None:
    """Blender takes a coordinate that is not finite for zero, and would render a model that is not there."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ModelError(f"it cannot be read ({error.strerror})") from None
    if _NOT_FINITE.search(text):
        raise ModelError("it holds coordinates that are not finite")


def _joined(meshes: "list[bpy.types.Object]") -> "bpy.types.Object":
    """One object of several, with the importer's change of axes baked into its vertices."""
    bpy.ops.object.select_all(action="DESELECT")
    for item in meshes:
        item.select_set(True)
    bpy.context.view_layer.objects.active = meshes[0]
    if len(meshes) > 1:
        bpy.ops.object.join()
    bpy.ops.object.transform_apply(location=True, rotation=True, scale=True)
    return bpy.context.view_layer.objects.active


def _centre(item: "bpy.types.Object") -> None:
    """Moves the vertices so that their bounding box is centred at the origin."""
    vertices = np.empty((len(item.data.vertices), 3), dtype=np.float32)
    item.data.vertices.foreach_get("co", vertices.reshape(-1))
    if not np.isfinite(vertices).all():
        raise ModelError("it holds coordinates that are not finite")
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    if (high - low).max() > LARGEST_EXTENT:
        raise ModelError(
            f"it is {(high - low).max():.3g} m large; at most {LARGEST_EXTENT:g} m can be rendered"
        )
    item.data.vertices.foreach_set("co", (vertices - (low + high) / 2).reshape(-1))
    item.data.update()
