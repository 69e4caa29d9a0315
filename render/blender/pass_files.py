"""Mask, depth and normals of a view, from the render that gives its picture.

Blender gives a render's passes to its compositor only. There a File Output node writes them as uncompressed
floating-point files, which Blender reads back: 22 ms a view of 256 px for all three.
"""

import errno
import os
from pathlib import Path

import bpy
import numpy as np

from shards.passes import Pass, unit_vectors

OBJECT_INDEX = 1
"""The ``pass_index`` of the object; that of everything else is 0."""

_SOCKETS: dict[Pass, str] = {"mask": "IndexOB", "depth": "Depth", "normal": "Normal"}


class PassFiles:
    """Makes each render of a scene, whose denoiser is set up, leave a file of each pass in a folder."""

    def __init__(self, scene: "bpy.types.Scene", passes: tuple[Pass, ...], folder: Path) -> None:
        self._scene = scene
        self._paths = {name: folder / f"{name}{scene.frame_current:04d}" for name in passes}
        if not passes:
            return
        layer = scene.view_layers[0]
        layer.use_pass_object_index |= "mask" in passes
        layer.use_pass_z |= "depth" in passes
        layer.use_pass_normal |= "normal" in passes
        layers = _render_layers(scene)
        output = scene.node_tree.nodes.new("CompositorNodeOutputFile")
        output.base_path = str(folder)
        output.format.file_format = "OPEN_EXR"
        output.format.color_mode = "RGB"
        output.format.color_depth = "32"
        output.format.exr_codec = "NONE"
        output.file_slots.clear()
        for name in passes:
            output.file_slots.new(name)
            scene.node_tree.links.new(layers.outputs[_SOCKETS[name]], output.inputs[name])

    def clear(self) -> None:
        """Removes what an earlier render left."""
        for path in self._paths.values():
            path.unlink(missing_ok=True)

    def read(self) -> dict[Pass, np.ndarray]:
        """The passes of the last render, as ``Frame`` has them.

        Raises:
            OSError: A file is missing or was cut short.
        """
        passes: dict[Pass, np.ndarray] = {}
        for name, path in self._paths.items():
            values = _read_floats(path, self._scene.render.resolution_x, self._scene.render.resolution_y)
            if name == "mask":
                passes[name] = values[..., 0] == OBJECT_INDEX
            elif name == "depth":
                passes[name] = np.ascontiguousarray(values[..., 0])
            else:  # rows times the camera's matrix: turned by its inverse
                to_world = np.array(self._scene.camera.rotation_euler.to_matrix(), np.float32)
                passes[name] = unit_vectors(values @ to_world)
        return passes


def _render_layers(scene: "bpy.types.Scene") -> "bpy.types.Node":
    """The compositor's node that has a render's passes; where there is no compositor, a plain one is made."""
    if not scene.use_nodes:
        scene.use_nodes = scene.render.use_compositing = True
        nodes = scene.node_tree.nodes
        nodes.clear()
        layers, composite = nodes.new("CompositorNodeRLayers"), nodes.new("CompositorNodeComposite")
        scene.node_tree.links.new(layers.outputs["Image"], composite.inputs["Image"])
        return layers
    return next(node for node in scene.node_tree.nodes if node.type == "R_LAYERS")


def _read_floats(path: Path, width: int, height: int) -> np.ndarray:
    """(height, width, 3) float32 of an uncompressed file, the upper row first."""
    if path.stat().st_size < 4 * 3 * width * height:  # Blender would read zeros
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
    image = bpy.data.images.load(str(path))
    try:
        image.colorspace_settings.name = "Non-Color"
        values = np.empty(width * height * image.channels, np.float32)
        image.pixels.foreach_get(values)
        return values.reshape(height, width, image.channels)[::-1, :, :3]
    finally:
        bpy.data.images.remove(image)
