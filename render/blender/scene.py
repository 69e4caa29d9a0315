"""The scene of 3DIEBench in Blender.

The settings are facts of the published generator (SIE, arXiv 2302.10283) as Blender reports them: camera,
floor, sun, spot, world, Filmic view and bounces. Images are true RGB.
"""

import colorsys
import errno
import math
import os
import shutil
import tempfile
from pathlib import Path

import bpy  # isort: skip  (makes the two imports below possible)
import addon_utils
import numpy as np
from mathutils import Vector
from PIL import Image

from render.blender.cycles import set_cycles, set_output
from render.blender.hardware import use_device
from render.blender.importers import import_model
from render.blender.materials import mend_materials
from render.blender.models import ModelChanges, one_centered_object, share_large_mesh
from render.blender.pass_files import OBJECT_INDEX, PassFiles
from render.device_choice import CPU, Device
from render.frame import Frame
from render.model_errors import ModelError
from render.settings import RenderSettings
from shards.geometry import CAMERA_DISTANCE, FIELD_OF_VIEW

SPOT_DISTANCE = 4.0  # metres
FLOOR_HEIGHT = -1.0  # metres
OBJECTS_PER_SESSION = 10
"""Cycles keeps its session from frame to frame, and with it some 20 kB of every object that it has seen."""
OBJECTS_PER_GPU_SESSION = 500
"""A session on a GPU holds its kernels and a gigabyte of state there, which take seconds to make."""


class Scene:
    """A warm Blender: everything but the object is built once.

    What stays in memory, with ten objects to a session of Cycles::

        call           Blender's data                                 Cycles' session
        Scene()        world, camera, sun, spot, floor                none
        load(mug)      + the mug's meshes, materials and images       none
        render(...)    the same                                       begins; holds scene and mug
        render(...)    the same                                       goes on, so that nothing is sent to it twice
        load(chair)    - all of the mug (clear), + all of the chair   goes on, with 20 kB left of the mug
        ...
        load(tenth)    - all of the ninth, + all of the tenth         ended, and with it what was left of nine

    Args:
        settings: Resolution, samples, denoiser and passes.
        threads: Number of threads that Cycles may use; 0 means all cores.
        folder: Folder that gets the files that Blender writes; by default the system's temporary folder.
        device: Device that traces and denoises.
    """

    def __init__(
        self, settings: RenderSettings, threads: int = 1, folder: Path | None = None, device: Device = CPU
    ) -> None:
        bpy.ops.wm.read_factory_settings(use_empty=True)
        addon_utils.enable("cycles")
        self._scene = bpy.context.scene
        self._folder = tempfile.TemporaryDirectory(prefix="iebench-", dir=folder)
        self._frame = Path(self._folder.name) / "frame.bmp"
        self._frame_bytes = max((4 + 16 * len(settings.passes)) * settings.image_size**2, 2**20)
        self._object: bpy.types.Object | None = None
        self._loaded = 0
        self._per_session = OBJECTS_PER_SESSION if device.kind == "cpu" else OBJECTS_PER_GPU_SESSION
        self._drop_coincident = settings.coincident_faces == "drop"
        set_output(self._scene, settings, threads, self._frame)
        set_cycles(self._scene, settings)
        use_device(self._scene, device)
        self._passes = PassFiles(self._scene, settings.passes, self._frame.parent)
        _add_world(self._scene)
        _add_camera(self._scene)
        _add_sun(self._scene)
        self._spot = _add_spot(self._scene)
        self._floor_material = _add_floor()
        self._fixtures = {item.name for item in self._scene.objects}
        if device.kind != "cpu":
            self._warm_up(settings)

    def load(self, path: Path, rescaled: bool = False) -> ModelChanges:
        """Replaces the object by the model in ``path``, centred by its bounding box, and returns what was done to it.

        Several objects in the file become one. Textures are read when the first view is rendered.

        Args:
            path: Model file; OBJ and glTF are +Y up, others +Z up; in metres unless it is rescaled.
            rescaled: True if the model is scaled to a unit diagonal.

        Raises:
            ModelError: The file is missing, does not parse, or holds no face or no finite geometry.
        """
        self.clear()
        self._loaded += 1
        if self._loaded % self._per_session == 0:
            self._end_session()
        notes = mend_materials(path, import_model(path))
        self._object, scale = one_centered_object(
            self._imported(), rescaled, self._drop_coincident, by_position=path.suffix.lower() != ".obj"
        )
        self._object.pass_index = OBJECT_INDEX
        share_large_mesh(self._object)
        return ModelChanges(scale, notes)

    def render(self, latents: np.ndarray) -> Frame:
        """Renders one view of the loaded object.

        Args:
            latents: Latents (7,) float: rotation x, y, z (rad, extrinsic xyz), floor hue [0, 1], light theta and
                phi (rad), light hue [0, 1]; three more, translation x, y, z in metres, where given.

        Raises:
            ModelError: No model is loaded, or Blender cannot render it.
        """
        if self._object is None:
            raise ModelError("no model is loaded")
        self._object.rotation_euler = [float(angle) for angle in latents[:3]]
        self._object.location = [float(shift) for shift in latents[7:10]] or (0.0, 0.0, 0.0)
        self._floor_material.diffuse_color = (*colorsys.hsv_to_rgb(latents[3], 0.6, 0.6), 1.0)
        _aim_spot(self._spot, *(float(value) for value in latents[4:7]))
        self._frame.unlink(missing_ok=True)
        self._passes.clear()
        try:
            bpy.ops.render.render(write_still=True)
            with Image.open(self._frame) as image:
                pixels = np.array(image.convert("RGB"))
            return Frame(pixels, **self._passes.read())
        except (RuntimeError, OSError) as error:
            if shutil.disk_usage(self._folder.name).free < self._frame_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._frame)) from None
            raise ModelError(f"Blender cannot render it: {str(error).strip()}") from error

    def clear(self) -> None:
        """Removes the object and all that came with it, so that memory stays flat."""
        self._object = None
        for item in self._imported():
            bpy.data.objects.remove(item, do_unlink=True)
        for collection in list(bpy.data.collections):  # only importers make them
            bpy.data.collections.remove(collection)
        bpy.ops.outliner.orphans_purge(do_local_ids=True, do_linked_ids=True, do_recursive=True)

    def _warm_up(self, settings: RenderSettings) -> None:
        """A first tiny frame, for which Cycles compiles or loads the GPU's kernels."""
        render, cycles = self._scene.render, self._scene.cycles
        render.resolution_x = render.resolution_y = 16
        cycles.samples = 1
        bpy.ops.render.render(write_still=False)
        render.resolution_x = render.resolution_y = settings.image_size
        cycles.samples = settings.samples

    def _end_session(self) -> None:
        self._scene.render.use_persistent_data = False  # which lets go of all that Cycles holds
        self._scene.render.use_persistent_data = True

    def _imported(self) -> "list[bpy.types.Object]":
        return [item for item in self._scene.objects if item.name not in self._fixtures]

    def close(self) -> None:
        """Removes the temporary folder."""
        self._folder.cleanup()


def _add_world(scene: "bpy.types.Scene") -> None:
    world = bpy.data.worlds.new("world")
    world.use_nodes = True
    background = world.node_tree.nodes["Background"]
    background.inputs["Color"].default_value = (0.05, 0.05, 0.05, 1.0)
    background.inputs["Strength"].default_value = 1.0
    scene.world = world


def _add_camera(scene: "bpy.types.Scene") -> None:
    data = bpy.data.cameras.new("camera")
    data.lens_unit = "FOV"
    data.angle = FIELD_OF_VIEW
    data.clip_start, data.clip_end = 0.1, 1000.0
    camera = bpy.data.objects.new("camera", data)
    height = CAMERA_DISTANCE * math.sqrt(0.5)
    camera.location = (0.0, height, height)
    camera.rotation_euler = (math.pi / 4, 0.0, math.pi)
    camera.rotation_mode = "XYZ"
    scene.collection.objects.link(camera)
    scene.camera = camera


def _add_sun(scene: "bpy.types.Scene") -> None:
    data = bpy.data.lights.new("sun", "SUN")
    data.energy = 1.5
    data.angle = math.pi / 2
    scene.collection.objects.link(bpy.data.objects.new("sun", data))


def _add_spot(scene: "bpy.types.Scene") -> "bpy.types.Object":
    data = bpy.data.lights.new("spot", "SPOT")
    data.energy = 500.0
    data.spot_size = math.pi / 8
    data.spot_blend = 0.15
    data.shadow_soft_size = 0.25
    data.use_soft_falloff = True
    spot = bpy.data.objects.new("spot", data)
    spot.rotation_mode = "QUATERNION"
    scene.collection.objects.link(spot)
    return spot


def _add_floor() -> "bpy.types.Material":
    bpy.ops.mesh.primitive_plane_add(size=10000, location=(0.0, 0.0, FLOOR_HEIGHT))
    floor = bpy.context.object
    floor.name = "floor"
    material = bpy.data.materials.new("floor")
    material.use_nodes = False  # so that diffuse_color is the color
    floor.data.materials.append(material)
    return material


def _aim_spot(spot: "bpy.types.Object", theta: float, phi: float, hue: float) -> None:
    """Puts the spot at polar angle ``theta`` and azimuth ``phi``, shining at the origin."""
    direction = Vector((math.sin(theta) * math.cos(phi), math.sin(theta) * math.sin(phi), math.cos(theta)))
    spot.location = SPOT_DISTANCE * direction
    spot.rotation_quaternion = (-direction).to_track_quat("-Z", "Y")
    spot.data.color = colorsys.hsv_to_rgb(hue, 1.0, 0.8)
