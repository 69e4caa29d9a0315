"""Precision of the networks' arithmetic: autocast, and gradient scaling for float16."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import torch

from shards.errors import UsageError

PrecisionName = Literal["auto", "float32", "bfloat16", "float16"]

_AMPERE = (8, 0)
_CPU_FLAG = "amx_bf16"
"""Linux's name for the instructions of x86 CPUs that make bfloat16 faster than float32. With AVX512-BF16 alone
a ResNet trains at 0.9 of float32's rate (benchmarks/RESULTS.md, "Training: precision on the CPU")."""


class Precision:
    """Autocast and gradient scaling for one training. Weights and optimizer state are float32 in all of them.

    Attributes:
        device: Device of this process.
        dtype: Type in which convolutions and matrix products are computed.
        scaler: Gradient scaler, which is enabled for float16 only.

    Raises:
        UsageError: The device does not support this precision.
    """

    def __init__(self, name: PrecisionName, device: torch.device) -> None:
        self.device = device
        self.dtype = _dtype_of(name, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype is torch.float16)

    @property
    def name(self) -> str:
        """Name of the type, such as ``bfloat16``."""
        return str(self.dtype).removeprefix("torch.")

    def autocast(self) -> AbstractContextManager[object]:
        """Returns the context in which the forward pass has to run."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)


def _dtype_of(name: PrecisionName, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if has_fast_bfloat16(device) else torch.float32
    if name == "float16" and device.type == "cpu":
        raise UsageError(
            "training.precision = float16 is for GPUs; on the CPU choose float32, bfloat16, or auto"
        )
    if name == "bfloat16" and device.type == "cuda" and not has_fast_bfloat16(device):
        raise UsageError(
            f"{torch.cuda.get_device_name(device)} does not compute in bfloat16, as GPUs do from Ampere (2020) on; "
            "set training.precision to float16, float32 or auto"
        )
    dtype = getattr(torch, name)
    assert isinstance(dtype, torch.dtype)
    return dtype


def has_fast_bfloat16(device: torch.device) -> bool:
    """Returns whether a device multiplies in bfloat16 in hardware: GPUs from Ampere on, CPUs with AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _AMPERE
    return _CPU_FLAG in cpu_flags()


def cpu_flags() -> set[str]:
    """Returns the names of the CPU's instruction sets as Linux lists them; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith("flags")), "").split())
