"""Checks what works on this machine, and says what to do about the rest.

``python -m iebench.doctor`` looks at what set-up needs, and itself needs nothing but Python; with
``--install-libraries`` it first installs the system libraries that Blender loads, if it has the rights.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

BLENDER_PYTHON = (3, 11)
LOW_DISK_BYTES = 5 * 10**9

BLENDER_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXi.so.6": "libxi6",
    "libXxf86vm.so.1": "libxxf86vm1",
    "libXfixes.so.3": "libxfixes3",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libICE.so.6": "libice6",
    "libGL.so.1": "libgl1",
    "libEGL.so.1": "libegl1",
}
"""Shared libraries that Blender loads, and the Debian packages that hold them."""


@dataclass(frozen=True)
class Check:
    """One finding about the machine, with advice on what to do about it; ``works`` is None if it is only information."""

    what: str
    works: bool | None
    detail: str
    remedy: str = ""


def examine(folder: Path) -> Iterator[Check]:
    """Checks Python, Blender and its libraries, the GPU, cores, and the disk of a folder."""
    from shards.child_processes import available_cores

    yield _python()
    yield _libraries()
    yield _blender()
    yield _blender_gpus()
    yield from _packages()
    yield from _gpus()
    yield Check("cores", None, f"{available_cores()}")
    yield _disk(folder)


def missing_libraries() -> list[str]:
    """Lists the shared libraries that Blender needs and this machine lacks."""
    missing = []
    for name in BLENDER_LIBRARIES if sys.platform == "linux" else ():
        try:
            ctypes.CDLL(name)
        except OSError:
            missing.append(name)
    return missing


def install_line(libraries: list[str]) -> str:
    """Returns the line that installs missing libraries on Debian and Ubuntu."""
    return "apt-get install -y " + " ".join(BLENDER_LIBRARIES[name] for name in libraries)


def install_libraries() -> None:
    """Installs the system libraries that Blender lacks with apt-get, if this process is root and apt-get is here."""
    missing = missing_libraries()
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    packages = [BLENDER_LIBRARIES[name] for name in missing]
    print(f"installing what Blender loads: {' '.join(packages)}", flush=True)
    for command in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=False)


def _python() -> Check:
    found = platform.python_version()
    if sys.version_info[:2] == BLENDER_PYTHON:
        return Check("Python", True, found)
    return Check(
        "Python", None, f"{found}: trains and evaluates; rendering needs 3.11", "make setup PYTHON=python3.11"
    )


def _libraries() -> Check:
    missing = missing_libraries()
    if missing:
        return Check("system libraries", False, f"missing: {', '.join(missing)}", install_line(missing))
    return Check("system libraries", True, "all that Blender loads are there")


def _blender() -> Check:
    if importlib.util.find_spec("bpy") is None:
        return Check("Blender", False, "bpy is not installed", "pip install 'iebench[render]' in Python 3.11")
    program = "import bpy, addon_utils; addon_utils.enable('cycles'); print('\\n' + bpy.app.version_string)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"exit code {result.returncode}"])[-1]
        return Check("Blender", False, f"bpy does not start: {last}", "see the system libraries above")
    return Check("Blender", True, f"{result.stdout.strip().splitlines()[-1]} with Cycles")


def _blender_gpus() -> Check:
    if importlib.util.find_spec("bpy") is None:
        return Check("Blender's GPUs", None, "bpy is not installed")
    from render.device_choice import has_gpu_driver
    from render.local import find_gpus
    from shards.errors import IebenchError

    if not has_gpu_driver():
        return Check("Blender's GPUs", None, "no driver of a GPU; rendering is on the CPU")
    try:
        found = find_gpus()
    except IebenchError as error:
        return Check("Blender's GPUs", False, str(error), "see whether the driver is installed")
    if not found:
        return Check("Blender's GPUs", None, "none that it can use; rendering is on the CPU")
    names = [f"{gpu.name} by {gpu.kind}{'' if gpu.denoises else ' (denoises on the CPU)'}" for gpu in found]
    return Check("Blender's GPUs", True, ", ".join(names))


def _packages() -> Iterator[Check]:
    for name in ("torch", "torchvision", "webdataset"):
        try:
            yield Check(name, True, version(name))
        except PackageNotFoundError:
            yield Check(name, False, "not installed", f"pip install {name}")


def _gpus() -> Iterator[Check]:
    import torch

    from iebench.training.machine import COMPILED_STEPS, can_build_kernels

    if not torch.cuda.is_available():
        yield Check("GPU", None, "none that PyTorch can use; training runs on the CPU")
        return
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    yield Check("GPU", True, ", ".join(names))
    if can_build_kernels():
        yield Check("torch.compile", True, f"used by trainings of {COMPILED_STEPS:,} steps and more")
    else:
        remedy = "apt-get install -y gcc libc6-dev python3.11-dev"
        yield Check("torch.compile", None, "not used: no C compiler, or no headers of Python", remedy)


def _disk(folder: Path) -> Check:
    existing = next(path for path in (folder, *folder.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    works = free > LOW_DISK_BYTES
    return Check("disk", works, f"{free / 1e9:,.0f} GB free at {existing}", "" if works else "make room")


def setup_problems() -> list[str]:
    """Lists the problems that keep `make setup` from working, each with the line that solves it."""
    problems = []
    if sys.version_info[:2] != BLENDER_PYTHON:
        problems.append(
            f"Blender's wheels are for Python 3.11 only, and this is {platform.python_version()}: "
            "apt-get install -y python3.11 python3.11-venv, then make setup PYTHON=python3.11"
        )
    if importlib.util.find_spec("ensurepip") is None:
        problems.append("this Python cannot make virtual environments: apt-get install -y python3.11-venv")
    missing = missing_libraries()
    if missing:
        problems.append(
            f"Blender loads {', '.join(missing)}, which this machine lacks: {install_line(missing)}"
        )
    return problems


if __name__ == "__main__":
    if "--install-libraries" in sys.argv[1:]:
        install_libraries()
    sys.exit("\n".join(setup_problems()) or 0)
