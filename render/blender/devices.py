"""Blender's own list of devices."""

import bpy  # isort: skip  (makes the next import possible)
import addon_utils

from render.devices import GPU_KINDS, Device


def list_gpus() -> list[Device]:
    """Every GPU under every kind of access that this Blender has."""
    preferences = _cycles_preferences()
    return [
        Device(kind, entry.name, entry.id)
        for kind in GPU_KINDS
        for entry in preferences.get_devices_for_type(kind.upper())
    ]


def use_device(scene: "bpy.types.Scene", device: Device) -> None:
    """Has Cycles render, and denoise, on one device alone."""
    scene.cycles.device = "CPU" if device.kind == "cpu" else "GPU"
    scene.cycles.denoising_use_gpu = device.kind != "cpu"
    if device.kind == "cpu":
        return
    preferences = _cycles_preferences()
    preferences.compute_device_type = device.kind.upper()
    preferences.refresh_devices()
    for entry in preferences.devices:
        entry.use = entry.id == device.id


def _cycles_preferences() -> "bpy.types.AddonPreferences":
    addon_utils.enable("cycles")
    return bpy.context.preferences.addons["cycles"].preferences
