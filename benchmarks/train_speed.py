"""Whether training waits for data: steps/s fed by the stream, and by random tensors in memory, in turns.

    python benchmarks/train_speed.py --data runs/demo/views --recipe demo

What a GPU makes of SIE's step is measured by ``gpu.py``.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from pathlib import Path

import click
import torch

from gpu_step import synchronize
from iebench.recipes.recipe import Recipe, load_recipe
from iebench.training.loading import draw_stream, to_device
from iebench.training.model import build_model
from iebench.training.precision import Precision
from iebench.training.processes import Processes, start_processes
from iebench.training.recompute import recompute_stages
from iebench.training.state import TrainingState
from shards.batches import DrawBatch
from shards.loader import draw_batches, loader_workers
from shards.schema import DatasetIndex, open_dataset

Parts = tuple[DrawBatch, ...]
Step = Callable[[Parts], None]


@click.command()
@click.option("--data", required=True, type=click.Path(path_type=Path, exists=True), help="Dataset.")
@click.option("--recipe", "name", default="demo", show_default=True)
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Of the recipe.")
@click.option("--rounds", default=5, show_default=True, help="Turns of each.")
@click.option("--steps", default=20, show_default=True, help="Of each turn.")
@click.option("--threads", default=None, type=int, help="Of PyTorch on the CPU.")
def main(
    data: Path, name: str, overrides: tuple[str, ...], rounds: int, steps: int, threads: int | None
) -> None:
    """Prints a Markdown table."""
    if threads:
        torch.set_num_threads(threads)
    index, recipe = open_dataset(data), load_recipe(name, overrides)
    processes = start_processes("auto")
    step = our_step(recipe, index, processes)
    pairs = draw_stream(recipe.training, index, data, processes)
    with draw_batches(
        pairs, loader_workers(recipe.training.workers), processes.device.type == "cuda"
    ) as batches:
        kept = next(batches)
        feeds: dict[str, Iterator[Parts]] = {
            "from the stream": batches,
            "random tensors in memory": repeat((random_pair(kept),)),
        }
        rates = in_turns(step, feeds, rounds, steps, processes.device)
    batch = recipe.training.batch_size
    print(f"\n`{name}`, {batch} pairs of {index.image_size} px on {device_name(processes)}:\n")
    print("| fed | steps/s | images/s |\n|---|---|---|")
    for title, values in rates.items():
        middle = statistics.median(values)
        print(f"| {title} | {middle:.2f} | {2 * batch * middle:,.0f} |")
    stream, memory = rates.values()
    share = statistics.median(one / other for one, other in zip(stream, memory, strict=True))
    print(
        f"\nFed by the stream: {share:.3f} of the steps/s; {max(0.0, 1 - share):.1%} of the time goes to waiting for data."
    )


def our_step(recipe: Recipe, index: DatasetIndex, processes: Processes) -> Step:
    """A step as ``iebench train`` takes it."""
    model = build_model(recipe, index)
    if recipe.training.checkpoint_activations:
        recompute_stages(model.backbone, bool(recipe.training.compile))
    if recipe.training.compile:
        model.compile_backbones()
    precision = Precision(recipe.training.precision, processes.device)
    state = TrainingState(model, recipe, precision)

    def step(parts: Parts) -> None:
        with precision.autocast():
            outcome = model(*to_device(parts, processes.device))
        state.optimizer.zero_grad()
        precision.scaler.scale(outcome.loss).backward()
        precision.scaler.step(state.optimizer)
        precision.scaler.update()

    return step


def random_pair(parts: Parts) -> DrawBatch:
    """Random pixels with the latents and labels of a batch, page-locked where there is a GPU."""
    (first, second), (before, after), labels = to_device(parts, torch.device("cpu"))
    views = torch.stack([first, second])
    pair = DrawBatch(torch.randint_like(views, 256), torch.stack([before, after]), labels)
    return pair.pin_memory() if torch.cuda.is_available() else pair


def in_turns(
    step: Step, feeds: dict[str, Iterator[Parts]], rounds: int, steps: int, device: torch.device
) -> dict[str, list[float]]:
    """Steps/s of each in each turn, after a turn that is not counted."""
    rates: dict[str, list[float]] = {title: [] for title in feeds}
    for number in range(rounds + 1):
        for title, feed in feeds.items():
            synchronize(device)
            begin = time.perf_counter()
            for _ in range(steps):
                step(next(feed))
            synchronize(device)
            if number:
                rates[title].append(steps / (time.perf_counter() - begin))
    return rates


def device_name(processes: Processes) -> str:
    """What it runs on."""
    if processes.device.type == "cuda":
        return torch.cuda.get_device_name()
    return f"the CPU, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    main()
