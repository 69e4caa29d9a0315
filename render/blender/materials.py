"""Completes the surface of a model whose file lacks a texture or has no material at all."""

from pathlib import Path

import bpy

from render.sources.textures import MaterialFiles, find_texture, image_size

MOST_NOTES = 20
"""Largest number of notes on a model, because every sample's metadata stores them."""


def mend_materials(model: Path, materials: MaterialFiles | None) -> tuple[str, ...]:
    """Finds textures whose paths are of another machine, and takes out those that are not there.

    Blender shows a missing texture in magenta; the material's own color is closer to what was meant.

    Args:
        model: File that was imported.
        materials: The material files of an OBJ file; None of other files.

    Returns:
        A note for each texture or material file that is missing.
    """
    if materials is not None:
        _show_as_published()
    notes = [f"texture {name} is missing" for name in sorted(_mended_images(model))]
    if materials is not None:
        notes += [f"material file {_shown(name)} is missing" for name in materials.missing]
        if materials.missing and not materials.found:  # those that Blender made up would hide vertex colors
            for mesh in bpy.data.meshes:
                if mesh.color_attributes:
                    mesh.materials.clear()
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more are missing"]
    return tuple(notes)


def show_colors(item: "bpy.types.Object") -> None:
    """Gives a mesh without a material one that shows its vertex colors, where it has some."""
    mesh = item.data
    if any(mesh.materials) or not mesh.color_attributes:
        return
    material = bpy.data.materials.new("vertex colors")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    color = nodes.new("ShaderNodeVertexColor")
    color.layer_name = (mesh.color_attributes.active_color or mesh.color_attributes[0]).name
    material.node_tree.links.new(color.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    mesh.materials.clear()
    mesh.materials.append(material)


def _show_as_published() -> None:
    """Treats materials of OBJ files as the loader of 3DIEBench does, BlenderProc's ``load_shapenet``.

    - What ``map_d`` names is transparent where it is white, in materials that have a second texture. Blender alone
      takes the image's alpha channel, which a JPEG does not have.
    - A color of emission (``Ke``) without a texture emits nothing: so it is in Blender 4.2, and 4.5 differs.
    """
    for material in [item for item in bpy.data.materials if item.node_tree is not None]:
        nodes, links = material.node_tree.nodes, material.node_tree.links
        images = [node for node in nodes if node.type == "TEX_IMAGE"]
        surfaces = [node for node in nodes if node.type == "BSDF_PRINCIPLED"]
        for node in surfaces:
            if not node.inputs["Emission Color"].is_linked:
                node.inputs["Emission Strength"].default_value = 0.0
        for alpha in [node.inputs["Alpha"] for node in surfaces] if len(images) > 1 else []:
            if alpha.is_linked and alpha.links[0].from_node in images:
                invert = nodes.new("ShaderNodeInvert")
                links.new(alpha.links[0].from_node.outputs["Color"], invert.inputs["Color"])
                links.new(invert.outputs["Color"], alpha)


def _mended_images(model: Path) -> set[str]:
    """Sets the paths of images right, and returns the names of those that are nowhere."""
    missing = set()
    for image in [item for item in bpy.data.images if item.source == "FILE" and not _is_there(item)]:
        found = find_texture(image.filepath, model) if image.packed_file is None else None
        if found is not None and image_size(found):
            image.filepath = str(found)
            image.reload()
        else:
            missing.add(_shown(image.filepath or image.name))
            _take_out(image)
    return missing


def _is_there(image: "bpy.types.Image") -> bool:
    if image.packed_file is not None:
        return bool(image.size[0])
    path = Path(bpy.path.abspath(image.filepath))
    return path.is_file() and (image_size(path) is not None or bool(image.size[0]))


def _take_out(image: "bpy.types.Image") -> None:
    trees = [material.node_tree for material in bpy.data.materials if material.node_tree is not None]
    for tree in [*trees, *bpy.data.node_groups]:
        for node in [node for node in tree.nodes if node.type == "TEX_IMAGE" and node.image == image]:
            tree.nodes.remove(node)


def _shown(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2].encode(errors="replace").decode()
