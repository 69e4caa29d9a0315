"""Recognizes errors of PyTorch and of CUDA's libraries."""

import torch

_MEMORY_SIGNS = (
    "CUDA error: out of memory",
    "CUDA out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether PyTorch, CUDA, cuDNN or cuBLAS found no memory left on a GPU."""
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in _MEMORY_SIGNS)
    )
