"""Description of the machine that a run is computed on, and whether its networks are compiled there."""

import os
import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import torch

from iebench import __version__
from iebench.training.schedule import Schedule

COMPILED_STEPS = 2_000
"""Smallest number of steps for which the minutes that torch.compile takes at the start are worth it."""


def wants_compile(asked: bool | None, device: torch.device, steps: int) -> bool:
    """Returns what the recipe asks for; by default, whether this is CUDA with enough steps left to be worth compiling."""
    if asked is not None:
        return asked
    return device.type == "cuda" and can_build_kernels() and steps >= COMPILED_STEPS


def can_build_kernels() -> bool:
    """Returns whether Triton can build its driver here, which takes a C compiler and Python's headers."""
    compilers = [os.environ["CC"]] if "CC" in os.environ else ["gcc", "clang"]
    header = Path(sysconfig.get_paths("posix_prefix")["include"], "Python.h")
    return any(shutil.which(name) for name in compilers) and header.is_file()


def describe_machine(device: torch.device, precision: str, processes: int, workers: int) -> dict[str, Any]:
    """Describes the software and the device that compute a run, for its ``config.json``; each process has ``workers``."""
    is_gpu = device.type == "cuda"
    return {
        "iebench": __version__,
        "commit": commit_of(Path(__file__).parents[2]),
        "python": platform.python_version(),
        "device": torch.cuda.get_device_name(device) if is_gpu else platform.machine(),
        "cuda": torch.version.cuda if is_gpu else None,
        "precision": precision,
        "processes": processes,
        "workers": workers,
    }


def start_line(machine: dict[str, Any], device: torch.device, schedule: Schedule, step: int) -> str:
    """Returns a line that says on what a training runs and how long it is, once ``step`` steps were taken."""
    where = "the CPU" if device.type == "cpu" else machine["device"]
    count = machine["processes"]
    processes = "1 process" if count == 1 else f"{count} processes"
    left = schedule.steps - step
    done = f" (from step {step:,})" if step else ""
    images = left * schedule.images_per_step
    drawn = "pairs" if schedule.views == 2 else f"draws of {schedule.views} views"
    return (
        f"training on {where} ({machine['device'] if device.type == 'cpu' else device}) in {machine['precision']}, "
        f"{processes}: {left:,} steps{done} of {schedule.batch_size:,} {drawn}, {images:,} images"
    )


def commit_of(folder: Path) -> str | None:
    """Returns the commit of a checkout, with ``-dirty`` if files were changed; None if the folder is no checkout."""
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
