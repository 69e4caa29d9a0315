"""Wheels of the project, made of some files of the checkout."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]


def build_wheel(names: Iterable[str], folder: Path) -> Path:
    """Builds a wheel of files and folders of the checkout alone, without anything from a network.

    Args:
        names: What is copied from the root of the checkout.
        folder: An empty folder.

    Returns:
        The wheel.
    """
    source = folder / "source"
    source.mkdir()
    for name in names:
        subprocess.run(["cp", "-r", ROOT / name, source / name], check=True)
    options = ["-q", "--no-deps", "--no-build-isolation", "-w", folder]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, source], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("iebench-*.whl")
    return wheel
