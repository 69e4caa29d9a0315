"""Which processors render: the CPU, or the GPUs that Blender finds."""

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

_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd")


@dataclass(frozen=True)
class Device:
    """A processor as Cycles names it.

    Attributes:
        kind: ``cpu`` or one of ``GPU_KINDS``.
        name: for people.
        id: for Cycles.
    """

    kind: str
    name: str
    id: str


CPU = Device("cpu", "CPU", "CPU")


def has_gpu_driver() -> bool:
    """Whether a driver that Cycles could use is there at all."""
    return sys.platform == "darwin" or any(Path(path).exists() for path in _DRIVERS)


def default_workers(choice: DeviceChoice, cores: int, gpus: int | None = None) -> int:
    """How many render processes a machine takes: one for each core, or a few for each GPU.

    Args:
        choice: what is rendered on.
        cores: that this process may use.
        gpus: of this machine; by default they are counted.
    """
    if choice == "cpu" or (gpus is None and not has_gpu_driver()):
        return cores
    found = len(list(Path("/dev").glob("nvidia[0-9]*"))) if gpus is None else gpus
    return min(cores, WORKERS_PER_GPU * max(1, found))


def choose_devices(
    choice: DeviceChoice, probe: Callable[[], Sequence[Device]], driver: Callable[[], bool] = has_gpu_driver
) -> tuple[Device, ...]:
    """The devices that render processes share, worker after worker.

    Args:
        choice: ``auto`` takes the GPUs if there are any, by the quickest way that Blender has for them.
        probe: lists the GPUs that Blender finds.
        driver: whether asking it is worth while.

    Raises:
        UsageError: there is no device of the kind that was asked for.
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
    """The device of the worker in ``slot``: workers are dealt out evenly, several to a GPU where need be."""
    return devices[slot % len(devices)]
