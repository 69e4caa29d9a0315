"""Imports model files into the scene, each by the importer of its format.

OBJ and glTF are +Y up by convention and definition; PLY, STL and OFF say nothing and are taken as +Z up.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import bpy

from render.model_errors import ModelError, unreadable
from render.sources.soundness import require_sound
from render.sources.textures import MaterialFiles

if TYPE_CHECKING:
    import trimesh


def import_model(path: Path) -> MaterialFiles | None:
    """Imports a model file into the scene: its meshes, and whatever else it holds.

    Args:
        path: Model file (.obj, .glb, .gltf, .ply, .stl or .off); the suffix tells the format.

    Returns:
        The material files of an OBJ file; None for others.

    Raises:
        ModelError: The file is missing, does not parse, holds coordinates that are not finite, or textures
            that are too large, or it or what it refers to is no regular file.
    """
    contents = require_sound(path)
    if contents.mesh is not None:
        _add_mesh(contents.mesh, path.stem)
        return None
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ModelError(f"{path.suffix or 'a file without suffix'} is no format that can be read")
    try:
        reader(filepath=str(path))
    except RuntimeError as error:
        raise unreadable(path) from error
    return contents.materials


def _import_gltf(filepath: str) -> None:
    import addon_utils

    addon_utils.enable("io_scene_gltf2")
    bpy.ops.import_scene.gltf(
        filepath=filepath, disable_bone_shape=True, import_scene_extras=False, import_pack_images=False
    )
    shown = set(bpy.context.view_layer.objects)
    for item in set(bpy.context.scene.objects) - shown:  # of scenes that are not the default one
        bpy.data.objects.remove(item, do_unlink=True)
    _bake([item for item in bpy.context.view_layer.objects if item.type == "MESH" and _is_bound(item)])


def _is_bound(item: "bpy.types.Object") -> bool:
    return bool(item.parent or item.modifiers or item.data.shape_keys or item.animation_data)


def _bake(items: "list[bpy.types.Object]") -> None:
    """Gives meshes the form and place they have by parents, armatures and morphs, and frees them of these."""
    bpy.context.view_layer.update()
    graph = bpy.context.evaluated_depsgraph_get()
    meshes = [
        bpy.data.meshes.new_from_object(
            item.evaluated_get(graph), preserve_all_data_layers=True, depsgraph=graph
        )
        for item in items
    ]
    matrices = [item.matrix_world.copy() for item in items]
    for item, mesh, matrix in zip(items, meshes, matrices, strict=True):
        item.animation_data_clear()
        item.modifiers.clear()
        item.parent = None
        item.data = mesh
        item.matrix_world = matrix


def _add_mesh(loaded: "trimesh.Trimesh", name: str) -> None:
    vertices, faces = loaded.vertices, loaded.faces
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(len(vertices))
    mesh.vertices.foreach_set("co", vertices.astype("f4").reshape(-1))
    mesh.loops.add(faces.size)
    mesh.loops.foreach_set("vertex_index", faces.astype("i4").reshape(-1))
    mesh.polygons.add(len(faces))
    mesh.polygons.foreach_set("loop_start", range(0, faces.size, 3))
    mesh.update(calc_edges=True)
    mesh.validate()
    bpy.context.scene.collection.objects.link(bpy.data.objects.new(name, mesh))


_READERS: dict[str, Callable[..., object]] = {
    # Blender's own validation would spoil normals; render/blender/faces.py does it.
    ".obj": partial(bpy.ops.wm.obj_import, forward_axis="NEGATIVE_Z", up_axis="Y", validate_meshes=False),
    ".glb": _import_gltf,
    ".gltf": _import_gltf,
    ".ply": partial(bpy.ops.wm.ply_import, forward_axis="Y", up_axis="Z", import_colors="SRGB"),
    ".stl": partial(bpy.ops.wm.stl_import, forward_axis="Y", up_axis="Z"),
}
