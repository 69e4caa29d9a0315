"""How fast a training is, where its time goes, and how much memory it takes."""

import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import torch

T = TypeVar("T")

TIMINGS = ("images_per_second", "data_wait", "peak_memory_gib")
"""Keys of a record that differ from run to run of one recipe."""


class Pace:
    """Measures a training between one logged step and the next.

    Args:
        device: Device of this process, whose peak memory is asked for.
        images_per_step: Images of one step in all processes.
    """

    def __init__(self, device: torch.device, images_per_step: int) -> None:
        self._device = device
        self._images_per_step = images_per_step
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

        All are since the last record; the device must have finished its work, as it has once a loss was read.
        """
        elapsed = time.perf_counter() - self._start
        found = {
            "images_per_second": self._steps * self._images_per_step / elapsed,
            "data_wait": min(1.0, self._waited / elapsed),
        }
        if self._device.type == "cuda":
            found["peak_memory_gib"] = torch.cuda.max_memory_allocated(self._device) / 2**30
        self._start_again()
        return found

    def _start_again(self) -> None:
        self._start = time.perf_counter()
        self._waited = 0.0
        self._steps = 0
