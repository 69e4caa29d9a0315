"""Chooses the processors that render: the CPU, or the GPUs that Blender finds."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shards.errors import UsageError

DeviceChoice = Literal["auto", "cpu", "cuda", "optix", "hip", "metal"]
GPU_KINDS = ("optix", "cuda", "hip", "metal")
"""Cycles' ways to use a GPU, the quickest first."""

WORKERS_PER_GPU = 4
"""Render processes that share a GPU unless the user says otherwise: while one loads, others trace."""

_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")


@dataclass(frozen=True)
class Device:
    """A processor as Cycles names it.

    Attributes:
        kind: ``cpu`` or one of ``GPU_KINDS``.
        name: The name for people.
        id: The name for Cycles.
        denoises: Whether OpenImageDenoise runs on it; if not, it runs on the CPU.
    """

    kind: str
    name: str
    id: str
    denoises: bool = True


CPU = Device("cpu", "CPU", "CPU")


def has_gpu_driver() -> bool:
    """Tells whether a driver is installed that Cycles could use, whether or not there is a GPU for it."""
    return sys.platform == "darwin" or any(Path(path).exists() for path in _DRIVERS)


def default_workers(gpus: int, cores: int) -> int:
    """Gives the number of render processes: one for each core, or a few for each GPU."""
    return min(cores, WORKERS_PER_GPU * gpus) if gpus else cores


def threads_per_worker(gpus: int, cores: int, workers: int) -> int:
    """Gives the threads of each render process: one on the CPU; beside a GPU an equal share of the cores.

    On the CPU each process fills its core. On a GPU the cores have little to do but read models and textures,
    which one process does at a time while the others trace.
    """
    return max(1, cores // workers) if gpus else 1


def choose_devices(
    choice: DeviceChoice, probe: Callable[[], Sequence[Device]], driver: Callable[[], bool] = has_gpu_driver
) -> tuple[Device, ...]:
    """Chooses the devices that the render processes share, worker after worker.

    ``auto`` takes the GPUs if there are any, by the quickest way that Blender has for them. Without a driver, the
    probe, which lists the GPUs that Blender finds, is not run for it.

    Raises:
        UsageError: There is no device of the kind that was asked for.
    """
    if choice == "cpu" or (choice == "auto" and not driver()):
        return (CPU,)
    found = probe()
    for kind in GPU_KINDS if choice == "auto" else (choice,):
        devices = tuple(device for device in found if device.kind == kind)
        if devices:
            return devices
    if choice == "auto":
        return (CPU,)
    kinds = ", ".join(sorted({device.kind for device in found})) or "none"
    raise UsageError(
        f"Blender finds no {choice} device here (GPUs it can use: {kinds}); try --device auto, or see "
        "whether the driver is installed"
    )


def device_of(slot: int, devices: Sequence[Device]) -> Device:
    """Gives the device of the worker in ``slot``: workers are dealt out evenly, several to a GPU if need be."""
    return devices[slot % len(devices)]


def describe_devices(devices: Sequence[Device], workers: int, driver: bool) -> str:
    """Says in a sentence what renders, and what a person should know who has a GPU's driver and expected a GPU."""
    processes = f"{workers} worker{'s' if workers > 1 else ''}"
    if CPU in devices:
        reason = ": there is a driver, but Blender can use no GPU" if driver else ""
        return f"rendering on the CPU with {processes}{reason}"
    names = ", ".join(device.name for device in devices)
    denoising = "" if all(gpu.denoises for gpu in devices) else "; denoising on the CPU, which is slower"
    return (
        f"rendering on {len(devices)} GPU{'s' if len(devices) > 1 else ''} by {devices[0].kind} ({names}) with "
        f"{processes}{denoising}; the first start compiles Blender's kernels, which takes minutes"
    )
