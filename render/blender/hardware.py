"""Blender's own list of GPUs, and the choice among them."""

import bpy  # isort: skip  (makes the next import possible)
import _cycles
import addon_utils

from render.device_choice import GPU_KINDS, Device


def list_gpus() -> list[Device]:
    """Lists every GPU under every kind of access that this Blender has.

    Cycles names the CPU under each kind too, since it can render together with a GPU; here it never does.
    CUDA_VISIBLE_DEVICES and HIP_VISIBLE_DEVICES are honoured by the drivers.
    """
    addon_utils.enable("cycles")
    return [
        Device(kind, name, identity, bool(denoises))
        for kind in GPU_KINDS
        for name, own_kind, identity, _, _, denoises, *_ in _cycles.available_devices(kind.upper())
        if own_kind == kind.upper()
    ]


def use_device(scene: "bpy.types.Scene", device: Device) -> None:
    """Has Cycles render on one device alone, and denoise there if it can."""
    scene.cycles.device = "CPU" if device.kind == "cpu" else "GPU"
    scene.cycles.denoising_use_gpu = device.kind != "cpu" and device.denoises
    if device.kind == "cpu":
        return
    addon_utils.enable("cycles")
    preferences = bpy.context.preferences.addons["cycles"].preferences
    preferences.compute_device_type = device.kind.upper()
    preferences.refresh_devices()
    for entry in preferences.devices:
        entry.use = entry.id == device.id and entry.type == device.kind.upper()
