"""The error that is reported when a GPU runs out of memory, with advice on what needs less."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from iebench.backbones.library_errors import is_out_of_memory
from iebench.recipes.recipe import Recipe
from shards.errors import IebenchError


@contextmanager
def out_of_memory_as_error(recipe: Recipe, run: Path, processes: int) -> Iterator[None]:
    """Turns an out-of-memory error of CUDA, cuDNN or cuBLAS into one sentence that says what to change.

    Raises:
        IebenchError: The GPU ran out of memory.
    """
    try:
        yield
    except RuntimeError as error:
        if is_out_of_memory(error):
            raise IebenchError(memory_advice(recipe, run, processes)) from None
        raise


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
