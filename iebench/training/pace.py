"""Speed of a training, the share of time spent waiting for data, and peak memory."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch

T = TypeVar("T")

TRUSTED_RECORD = 2
"""Number of the record from which the time left is estimated; the first one includes the start, such as compiling."""


class Pace:
    """Measures speed between one logged step and the next, and counts these ``records``."""

    def __init__(self, device: torch.device, images_per_step: int) -> None:
        self._device = device
        self._images_per_step = images_per_step  # of all processes together
        self.records = 0
        self._start_again()

    def watched(self, batches: Iterable[T]) -> Iterator[T]:
        """Yields the batches; the time until each arrives counts as waiting for data."""
        iterator = iter(batches)
        while True:
            start = time.perf_counter()
            batch = next(iterator, None)
            self._waited += time.perf_counter() - start
            if batch is None:
                return
            self._steps += 1
            yield batch

    def record(self) -> dict[str, Any]:
        """Returns images/s, the share of time spent waiting for data, and on CUDA the peak memory in GiB.

        The first two are measured since the last record, and the peak since the start. The device must have finished
        its work, for example because a loss was read.
        """
        elapsed = time.perf_counter() - self._start
        found = {
            "images_per_second": self._steps * self._images_per_step / elapsed,
            "data_wait": min(1.0, self._waited / elapsed),
        }
        if self._device.type == "cuda":
            found["peak_memory_gib"] = torch.cuda.max_memory_allocated(self._device) / 2**30
        self.records += 1
        self._start_again()
        return found

    def time_left(self, steps: int, record: dict[str, Any]) -> str:
        """Returns a line that says how long ``steps`` steps will take at the speed of a record."""
        images_per_second = record["images_per_second"]
        left = readable_duration(steps * self._images_per_step / images_per_second)
        return f"about {left} left at {images_per_second:,.0f} images/s, {record['data_wait']:.0%} of the time waiting for data"

    def _start_again(self) -> None:
        self._start = time.perf_counter()
        self._waited = 0.0
        self._steps = 0


def readable_duration(seconds: float) -> str:
    """Writes a duration in its two largest units: ``5 h 12 min``, ``12 min 3 s``, ``40 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
