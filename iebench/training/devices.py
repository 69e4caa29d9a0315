"""Choice of the device of a process, and a check that the device works."""

import hashlib
import os
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from iebench.training.launch import Launch
from shards.errors import UsageError, first_line

_HIDDEN = {"", "-1", "NoDevFiles"}
"""Values of CUDA_VISIBLE_DEVICES by which a person or Slurm hides all GPUs from a process."""


def choose_device(device: str, launch: Launch) -> torch.device:
    """Chooses the device of one process; on a node with several GPUs, the GPU with the number of its local rank.

    ``auto`` takes the CPU only if there is no GPU. A GPU that PyTorch cannot use is an error, because a training that
    silently runs on the CPU takes a hundred times as long.

    Raises:
        UsageError: There is no such device, or PyTorch cannot use it.
    """
    if device == "cpu":
        return torch.device("cpu")
    number = _gpu_number(device)
    visible, reason = _usable_gpus()
    if not visible and device == "auto" and not gpu_files():
        return torch.device("cpu")
    if not visible:
        raise UsageError(
            f"there is {'a GPU but ' if gpu_files() else ''}no CUDA device that PyTorch can use ({reason}); mend the "
            "driver or install a PyTorch that fits it, or choose --device cpu"
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


def claim_gpu(device: torch.device) -> None:
    """Makes a GPU the current one and computes something on it, so that a broken one is reported at the start.

    Raises:
        UsageError: The GPU does not work, or another program uses it exclusively.
    """
    try:
        torch.cuda.set_device(device)
        torch.zeros((), device=device)
    except (RuntimeError, AssertionError) as error:  # of CUDA, and of a PyTorch that is built without it
        raise UsageError(
            f"{device} does not work ({first_line(error)}); look at it with nvidia-smi, choose another one as in "
            "--device cuda:1, or choose --device cpu"
        ) from None


@contextmanager
def fast_kernels(device: torch.device, uses_tf32: bool) -> Iterator[None]:
    """Lets CUDA use cuDNN's fastest convolutions, and possibly TF32 for products of float32, within a block.

    TF32 has float32's range and 10 bits of mantissa, and gains little where the backbone computes in 16 bits.
    ``in_float32`` keeps forward computations from being rounded so, but not their gradients.
    """
    if device.type != "cuda":
        yield
        return
    benchmark, precision = torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()
    torch.backends.cudnn.benchmark = True
    if uses_tf32:
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = benchmark
        torch.set_float32_matmul_precision(precision)


def gpu_identity(device: torch.device) -> int:
    """Returns a number that identifies a GPU among those of all nodes; below 2**63, as processes exchange it."""
    uuid = str(torch.cuda.get_device_properties(device).uuid)
    return int.from_bytes(hashlib.sha256(uuid.encode()).digest()[:7])


def require_own_gpus(identities: Sequence[int]) -> None:
    """Checks the results of ``gpu_identity``, by rank, because NCCL does not support two processes on one GPU.

    Raises:
        UsageError: Two processes have the same GPU.
    """
    ranks = defaultdict(list)
    for rank, identity in enumerate(identities):
        ranks[identity].append(str(rank))
    for sharing in ranks.values():
        if len(sharing) > 1:
            raise UsageError(
                f"processes {', '.join(sharing)} were given the same GPU; start one task to a GPU (srun "
                "--ntasks-per-node and --gpus-per-node alike), or add --device cpu"
            )


def gpu_files() -> list[Path]:
    """Lists the device files of NVIDIA's driver that this process may open; none if its GPUs are hidden on purpose."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "all") in _HIDDEN:
        return []
    return [path for path in Path("/dev").glob("nvidia[0-9]*") if os.access(path, os.R_OK | os.W_OK)]


def _usable_gpus() -> tuple[int, str]:
    """Returns the number of GPUs that PyTorch can use, and the reason if there are none."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        visible = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if torch.version.cuda is None and torch.version.hip is None:
        return visible, f"PyTorch {torch.__version__} is built without CUDA"
    reasons = [first_line(warning.message) for warning in told]
    return visible, reasons[0] if reasons else "its driver does not answer, or there is none"


def _gpu_number(device: str) -> int | None:
    """Returns the number in ``cuda:1``; None for ``auto`` and ``cuda``."""
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
