"""Limits the time that a render process may take for a step before it counts as hung.

The kernel keeps the time: an alarm ends the process however it hangs, in a driver or in a read that never returns.
"""

import math
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from render.settings import RenderSettings

LOADING = 600.0
"""Seconds for reading a model: of the largest allowed, with 20 million faces, on a slow file system."""
START_ON_CPU, START_ON_GPU = 300.0, 3600.0
"""Seconds for the start of Blender; on a GPU its kernels may have to be compiled, on one core."""

_SHORTEST_VIEW = 60.0
_SECONDS_PER_SAMPLE, _SECONDS_PER_FRAME = 0.0465, 0.12
"""Seconds for each sample and for each frame of 256 px on one core, as measured (benchmarks/RESULTS.md)."""
_MARGIN = 30
"""Factor of the measured time that a heavy model on a busy core may take."""


@dataclass(frozen=True)
class Limits:
    """Seconds for each step of a render process: for reading a model, and for rendering one view."""

    loading: float
    view: float


def limits_of(settings: RenderSettings, seconds: float | None = None) -> Limits:
    """Gives the limits for a dataset's size and samples, or the seconds that the user sets for either step instead."""
    if seconds is not None:
        return Limits(seconds, seconds)
    area = (settings.image_size / 256) ** 2
    view = area * (_SECONDS_PER_FRAME + _SECONDS_PER_SAMPLE * settings.samples)
    return Limits(LOADING, math.ceil(max(_SHORTEST_VIEW, _MARGIN * view)))


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """Ends this process by SIGALRM if the block takes longer."""
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
