"""What a run takes from its machine where the recipe leaves it open."""

import shutil

import torch

COMPILED_STEPS = 2_000
"""Steps from which the minutes that torch.compile takes at the start are worth it."""


def wants_compile(asked: bool | None, device: torch.device, steps: int) -> bool:
    """Decides whether torch.compile makes the backbone's kernels.

    Args:
        asked: Value of ``training.compile``; None leaves it to the machine.
        device: Device of this process. Only on CUDA is compilation chosen unasked.
        steps: Number of steps that are left to train. A short run is not compiled unasked.
    """
    if asked is not None:
        return asked
    has_compiler = shutil.which("cc") is not None  # Triton builds its launchers with it
    return device.type == "cuda" and has_compiler and steps >= COMPILED_STEPS
