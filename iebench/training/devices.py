"""Which device a process computes on."""

import torch

from iebench.training.launch import Launch
from shards.errors import UsageError


def choose_device(device: str, launch: Launch) -> torch.device:
    """The device of one process: of several GPUs, the one with the process's number on its node.

    Args:
        device: ``auto``, ``cpu``, ``cuda``, or one GPU by its number as in ``cuda:1``.
        launch: How the process was started.

    Raises:
        UsageError: There is no such device.
    """
    if device == "cpu":
        return torch.device("cpu")
    visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = _gpu_number(device)
    if device == "auto" and not visible:
        return torch.device("cpu")
    if not visible:
        raise UsageError(
            "there is no CUDA device that PyTorch can use; try --device cpu, or see `iebench doctor`"
        )
    if number is not None:
        return _named_gpu(number, visible, launch)
    if launch.by_slurm and visible == 1:  # srun --gpus-per-task: each sees its own
        return torch.device("cuda", 0)
    if launch.local_count > visible:
        raise UsageError(
            f"{launch.local_count} processes were started on this node, which has {visible} GPUs; start one to a "
            "GPU, or add --device cpu"
        )
    return torch.device("cuda", launch.local_rank)


def _gpu_number(device: str) -> int | None:
    """The number in ``cuda:1``; None for ``auto`` and ``cuda``."""
    kind, colon, number = device.partition(":")
    if device in ("auto", "cuda"):
        return None
    if kind != "cuda" or not colon or not number.isdecimal():
        raise UsageError(
            f"--device takes auto, cpu, cuda or a GPU by its number as in cuda:1, not {device!r}"
        )
    return int(number)


def _named_gpu(number: int, visible: int, launch: Launch) -> torch.device:
    if launch.count > 1:
        raise UsageError(
            f"{launch.count} processes cannot share cuda:{number}; with --device cuda each takes a GPU of its own"
        )
    if number >= visible:
        last = "cuda:0 only" if visible == 1 else f"cuda:0 to cuda:{visible - 1}"
        raise UsageError(f"there is no cuda:{number} here; this machine has {last}")
    return torch.device("cuda", number)
