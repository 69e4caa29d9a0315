"""Whether the camera meets the object at all: one that lies beside the frame would give views of an empty floor."""

import bpy
import numpy as np

from render.blender.faces import read_field
from render.blender.pass_files import OBJECT_INDEX

_GRIDS = (1, 4, 16, 64, 256)
"""Rays along each side, coarse to fine: most objects are met by the first."""


def visibility_notes() -> tuple[str, ...]:
    """Says why nothing of the object can be seen in the view that was rendered last; empty if something can."""
    item = next(item for item in bpy.context.scene.objects if item.pass_index == OBJECT_INDEX)
    if not _is_met(item):
        return ("no part of it is in the frame of the first view",)
    return ("all of its surface is transparent",) if _is_transparent(item) else ()


def _is_met(item: "bpy.types.Object") -> bool:
    graph = bpy.context.evaluated_depsgraph_get()  # which sets the matrices
    camera = bpy.context.scene.camera
    to_object = item.matrix_world.inverted_safe()
    origin = to_object @ camera.matrix_world.translation
    corners = camera.data.view_frame(scene=bpy.context.scene)
    right_top, right_bottom, left_bottom, left_top = (camera.matrix_world @ corner for corner in corners)
    for count in _GRIDS:
        for row in range(count):
            left = left_top.lerp(left_bottom, (row + 0.5) / count)
            right = right_top.lerp(right_bottom, (row + 0.5) / count)
            for column in range(count):
                target = to_object @ left.lerp(right, (column + 0.5) / count)
                if item.ray_cast(origin, target - origin, depsgraph=graph)[0]:
                    return True
    return False


def _is_transparent(item: "bpy.types.Object") -> bool:
    """Whether each material that a face has is fully transparent, by a number and not by a texture."""
    numbers = read_field(item.data.polygons, "material_index", np.int32)
    slots = item.data.materials
    materials = [slots[number] for number in np.unique(numbers).tolist() if number < len(slots)]
    return bool(materials) and all(map(_has_no_alpha, materials))


def _has_no_alpha(material: "bpy.types.Material | None") -> bool:
    if material is None or material.node_tree is None:
        return False
    surfaces = [node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED"]
    alphas = [node.inputs["Alpha"] for node in surfaces]
    return bool(alphas) and all(not alpha.is_linked and alpha.default_value == 0.0 for alpha in alphas)
