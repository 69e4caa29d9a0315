"""Which processors render: the CPU, or the GPUs that Blender finds."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from shards.errors import IebenchError, UsageError

DeviceChoice = Literal["auto", "cpu", "cuda", "optix", "hip", "metal"]
GPU_KINDS = ("optix", "cuda", "hip", "metal")
"""Cycles' ways to use a GPU, the quickest first."""

_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd")
_PROBE_SECONDS = 120


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

    def to_json(self) -> str:
        """One line that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Device":
        """Reads what ``to_json`` wrote."""
        return cls(**json.loads(text))


CPU = Device("cpu", "CPU", "CPU")


def has_gpu_driver() -> bool:
    """Whether a driver that Cycles could use is there at all; asking Blender itself takes seconds."""
    return sys.platform == "darwin" or any(Path(path).exists() for path in _DRIVERS)


def probe_gpus() -> list[Device]:
    """The GPUs that Blender finds, one entry for each way to use one; asked in a process of its own.

    Raises:
        IebenchError: Blender does not answer.
    """
    command = [sys.executable, "-m", "render.blender.devices"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_SECONDS)
    except subprocess.TimeoutExpired:
        raise IebenchError(f"Blender did not list its devices within {_PROBE_SECONDS} s") from None
    if done.returncode:
        reason = (done.stderr.strip() or "no message").rpartition("\n")[2]
        raise IebenchError(f"Blender cannot list its devices ({reason}); see `iebench doctor`")
    return [Device.from_json(line) for line in done.stdout.splitlines() if line.startswith('{"kind"')]


def choose_devices(
    choice: DeviceChoice,
    driver: Callable[[], bool] = has_gpu_driver,
    probe: Callable[[], Sequence[Device]] = probe_gpus,
) -> tuple[Device, ...]:
    """The devices that render processes share, worker after worker.

    Args:
        choice: ``auto`` takes the GPUs if there are any, by the quickest way that Blender has for them.
        driver: whether asking for GPUs is worth while.
        probe: lists them.

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
