"""The error that is reported when a GPU runs out of memory, with advice on what needs less."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from iebench.recipes.recipe import Recipe
from shards.errors import IebenchError

_SIGNS = (
    "CUDA error: out of memory",
    "CUDA out of memory",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


@contextmanager
def out_of_memory_as_error(recipe: Recipe, run: Path, processes: int) -> Iterator[None]:
    """Turns an out-of-memory error of CUDA, cuDNN or cuBLAS into one sentence that says what to change.

    Args:
        recipe: Recipe of the training.
        run: Folder of the run.
        processes: Number of processes that share a batch.

    Raises:
        IebenchError: The GPU ran out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(sign in str(error) for sign in _SIGNS):
            raise
        raise IebenchError(memory_advice(recipe, run, processes)) from None


def memory_advice(recipe: Recipe, run: Path, processes: int) -> str:
    """Returns advice in one sentence: first the changes that keep the results of the run, then the others."""
    training = recipe.training
    pairs = training.batch_size // processes
    changes = [] if training.checkpoint_activations else ["training.checkpoint_activations=true"]
    if training.precision == "float32":
        changes.append("training.precision=bfloat16")
    settings = " ".join(f"--set {change}" for change in changes)
    again = f"`iebench train --resume {run} {settings}`, " if changes else ""
    return (
        f"the GPU has no memory left for {pairs:,} pairs; {again}more GPUs (each takes its share of the batch), or a "
        f"new run with less than training.batch_size={training.batch_size}"
    )
