"""What a model's surface shows where its file leaves something out: a texture, or any material at all."""

from pathlib import Path

import bpy

from render.sources.textures import find_texture, image_size, material_files

MOST_NOTES = 20
"""Per model; a sample's metadata is no log."""


def mend_materials(model: Path) -> tuple[str, ...]:
    """Finds textures whose paths are of another machine, and takes out those that are not there.

    Blender shows a missing texture in magenta; the material's own colour is closer to what was meant.

    Args:
        model: the file that was imported.

    Returns:
        A note for each texture or material file that is missing.
    """
    notes = [f"texture {name} is missing" for name in sorted(_mended_images(model))]
    if model.suffix.lower() == ".obj":
        found, missing = material_files(model)
        notes += [f"material file {_shown(name)} is missing" for name in missing]
        if missing and not found:
            _drop_materials_for_colours()
    if len(notes) > MOST_NOTES:
        notes[MOST_NOTES:] = [f"and {len(notes) - MOST_NOTES} more are missing"]
    return tuple(notes)


def show_colours(item: "bpy.types.Object") -> None:
    """Gives a mesh without a material one that shows its vertex colours, where it has some."""
    mesh = item.data
    if any(mesh.materials) or not mesh.color_attributes:
        return
    material = bpy.data.materials.new("vertex colours")
    material.use_nodes = True
    nodes = material.node_tree.nodes
    colour = nodes.new("ShaderNodeVertexColor")
    colour.layer_name = (mesh.color_attributes.active_color or mesh.color_attributes[0]).name
    material.node_tree.links.new(colour.outputs["Color"], nodes["Principled BSDF"].inputs["Base Color"])
    mesh.materials.clear()
    mesh.materials.append(material)


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


def _drop_materials_for_colours() -> None:
    """The materials that Blender makes up for names nobody defines would hide vertex colours."""
    for mesh in bpy.data.meshes:
        if mesh.color_attributes:
            mesh.materials.clear()


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
    """The last part of a path, as text."""
    return path.replace("\\", "/").rpartition("/")[2].encode(errors="replace").decode()
