"""Disks that are soon full."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Calls ``mount``."""
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)


def resize(folder: Path, size: str) -> None:
    """Gives a file system in memory another size, such as ``16m``."""
    resized = mount("-o", f"remount,size={size}", str(folder))
    assert resized.returncode == 0, resized.stderr


@contextmanager
def file_system(folder: Path, size: str) -> Iterator[Path]:
    """A file system in memory of a size, such as ``100k``; the test is skipped where none can be mounted."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
