"""How much memory a training step takes, calculated without a GPU.

    python benchmarks/step_memory.py --batch-size 1024 --size 256

SIE's step runs on PyTorch's FakeTensors, which have shapes and no numbers; all tensors that are alive at once are
counted. That is what PyTorch allocates for tensors. A GPU's libraries take some more: their contexts, and the working
memory of the convolutions that cuDNN tries.
"""

import weakref
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

import click
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from gpu_step import CLASSES, synthetic_index
from iebench.recipes.recipe import load_recipe
from iebench.training.model import Model
from iebench.training.optimizers import build_optimizer
from iebench.training.recompute import recompute_stages


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all storages that were seen and are still referred to: now, and the most at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.peak = 0
        self._seen: Any = WeakIdKeyDictionary()

    def add(self, tensors: Iterable[object]) -> None:
        """Counts the storages of tensors, each once."""
        for tensor in tensors:
            if isinstance(tensor, Tensor):
                storage = tensor.untyped_storage()
                if storage not in self._seen:
                    self._seen[storage] = True
                    size = storage.nbytes()
                    self.now += size
                    weakref.finalize(storage, self._forget, size)
        self.peak = max(self.peak, self.now)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs an operation and counts what it gives."""
        result = function(*args, **(kwargs or {}))
        self.add(tree_leaves(result))
        return result

    def _forget(self, size: int) -> None:
        self.now -= size


def step_bytes(batch_size: int, image_size: int, overrides: Iterable[str] = ()) -> int:
    """Most bytes that are alive in the second step of a training of SIE, when the optimizer has its state."""
    recipe, index = load_recipe("sie", list(overrides)), synthetic_index(image_size)
    with ExitStack() as stack:
        stack.enter_context(FakeTensorMode())
        model = Model(recipe, index, CLASSES)
        if recipe.training.checkpoint_activations:
            recompute_stages(model.backbone)
        optimizer = build_optimizer(model, recipe)
        shape = (batch_size, 3, image_size, image_size)
        views = (torch.empty(shape, dtype=torch.uint8), torch.empty(shape, dtype=torch.uint8))
        latents = tuple(torch.rand(batch_size, len(index.latents), dtype=torch.float64) for _ in "12")
        labels = torch.zeros(batch_size, dtype=torch.int64)
        live = stack.enter_context(LiveBytes())
        live.add([*model.parameters(), *model.buffers(), *views])
        live.now += sum(view.untyped_storage().nbytes() for view in views)  # the next batch, copied meanwhile
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16, enabled=recipe.training.precision != "float32"):
                outcome = model(views, latents, labels)
            optimizer.zero_grad()
            outcome.loss.backward()
            optimizer.step()
            del outcome
    return live.peak


@click.command()
@click.option("--batch-size", default=1024, show_default=True, help="Pairs.")
@click.option("--size", default=256, show_default=True, help="Pixels.")
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Of the recipe.")
def main(batch_size: int, size: int, overrides: tuple[str, ...]) -> None:
    """Prints a Markdown table."""
    print(f"SIE, {batch_size} pairs of {size} px, in bfloat16:\n\n| activations | GB |\n|---|---|")
    for name, value in (("kept", "false"), ("recomputed", "true")):
        fields = ("training.precision=bfloat16", *overrides, f"training.checkpoint_activations={value}")
        print(f"| {name} | {step_bytes(batch_size, size, fields) / 1e9:.1f} |")


if __name__ == "__main__":
    main()
