"""Keeps tests without the mark for it from starting processes, so that `make check` stays quick."""

import multiprocessing.util
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from warm_start import WarmProcess

MARKS = {"processes", "blender", "browser", "slow", "gpu"}
"""Marks of tests that may start processes."""

HARMLESS = {"git", "lscpu"}
"""Programs that any test may start: a run records its commit, and numpy.testing looks at the processor once."""


class StartsProcessError(AssertionError):
    """A test that is not marked for it starts a process."""


@contextmanager
def forbidden_processes() -> Iterator[None]:
    """Within it, starting a process raises an error, whichever way it is started."""
    start_child = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def refuse(*_: object, **__: object) -> None:
        raise StartsProcessError("mark it `processes` (or `blender`, `browser`, `slow`)")

    def refuse_all_but_harmless(self: subprocess.Popen[bytes], args: object, *more: object) -> None:
        program = args[0] if isinstance(args, (list, tuple)) else args
        if program not in HARMLESS:
            refuse()
        start_child(self, args, *more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess.Popen, "_execute_child", refuse_all_but_harmless)
        patch.setattr(WarmProcess, "_execute_child", refuse)
        patch.setattr(multiprocessing.util, "spawnv_passfds", refuse)
        for name in ("fork", "posix_spawn", "posix_spawnp", "system"):
            patch.setattr(os, name, refuse)
        yield
