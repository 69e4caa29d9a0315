"""Gathers a batch that is spread over several processes, so that every loss is computed on all of it.

The backward pass sums the gradients of all processes' losses by a row for the process that the row is from. So the mean
over processes that DistributedDataParallel takes is the gradient of one process with the whole batch.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Returns the number of processes that train together; 1 without ``torch.distributed``."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(rows: Tensor) -> Tensor:
    """Gathers rows (batch, ...) of all processes in the order of ranks, with gradients: (processes * batch, ...).

    They are of the same shape in all processes. One process gets its ``rows`` back.
    """
    return rows if world_size() == 1 else _Gather.apply(rows)


def gather_each(*tensors: Tensor) -> tuple[Tensor, ...]:
    """Gathers floating-point tensors (batch, ...) of one batch by one exchange, and returns each in its own type.

    Tensors of (4, 8) and (4,) rows travel as one of (4, 9).
    """
    if world_size() == 1:
        return tensors
    flat = [tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None] for tensor in tensors]
    widest = max((part.dtype for part in flat), key=lambda dtype: dtype.itemsize)
    gathered = gather(torch.cat([part.to(widest) for part in flat], dim=1))
    columns = gathered.split([part.shape[1] for part in flat], dim=1)
    return tuple(
        part.reshape(-1, *tensor.shape[1:]).to(tensor.dtype)
        for part, tensor in zip(columns, tensors, strict=True)
    )


def own_rows(rows: Tensor) -> Tensor:
    """Returns this process's rows (batch, ...) of gathered ones (processes * batch, ...)."""
    return rows if world_size() == 1 else rows.chunk(world_size())[dist.get_rank()]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, rows: Tensor) -> Tensor:
        rows = rows.contiguous()
        parts = [torch.empty_like(rows) for _ in range(world_size())]
        dist.all_gather(parts, rows)
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return own_rows(total)
