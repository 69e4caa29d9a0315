"""SIE's training step in one arrangement, measured on tensors in memory in a process of its own; see ``gpu.py``.

    python benchmarks/gpu_step.py "as published" --device cuda

The last line that is printed is JSON.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any, Literal

import click
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from iebench.recipes.recipe import Recipe, load_recipe
from iebench.training.devices import fast_kernels
from iebench.training.health import Health
from iebench.training.loading import DeviceBatch, batches_on_device, to_device
from iebench.training.model import Model, build_model
from iebench.training.precision import Precision
from iebench.training.recompute import recompute_stages
from iebench.training.state import TrainingState
from shards.batches import DrawBatch
from shards.schema import ClassInfo, DatasetIndex
from shards.variants import VARIANTS

CLASSES = 55
WARMUP_STEPS, CHUNK = 3, 4
Step = Callable[[DeviceBatch], Tensor]


@dataclass(frozen=True)
class Arrangement:
    """How a step is computed; the defaults are the published arrangement.

    Attributes:
        precision: Of autocast; float16 comes with a scaler. The CPU has none, and computes in float32 instead.
        joint_views: Both views in one call, so that batch norm sees them together: other numbers than published.
        channels_last: Memory format of images and weights.
        compiled: Whether torch.compile makes the backbone's kernels.
        fused: Whether the optimizer is a fused kernel.
        checked: Whether each step looks for losses and gradients that are no finite numbers, as ``iebench train`` does,
            with which TF32 is on for products of float32.
        copied_ahead: Whether batches come to the device on a stream of their own, one ahead.
        checkpointed: Whether the backbone's activations are computed again in the backward pass.
    """

    precision: Literal["float32", "bfloat16", "float16"] = "float16"
    joint_views: bool = False
    channels_last: bool = False
    compiled: bool = False
    fused: bool = False
    checked: bool = False
    copied_ahead: bool = False
    checkpointed: bool = False


PUBLISHED = Arrangement()
OURS = Arrangement("bfloat16", channels_last=True, compiled=True, fused=True, checked=True, copied_ahead=True)
ARRANGEMENTS = {
    "as published": PUBLISHED,
    "iebench train": OURS,
    "iebench train, joint views": replace(OURS, joint_views=True),
    "iebench train, activations recomputed": replace(OURS, checkpointed=True),
    "+ bf16": replace(PUBLISHED, precision="bfloat16"),
    "+ channels last": replace(PUBLISHED, channels_last=True),
    "+ joint views": replace(PUBLISHED, joint_views=True),
    "+ fused optimizer": replace(PUBLISHED, fused=True),
    "+ copies one batch ahead": replace(PUBLISHED, copied_ahead=True),
    "+ compile": replace(PUBLISHED, compiled=True),
}
"""In the order of their importance, if time runs out. Those with a plus change one thing of the published one."""


@click.command()
@click.argument("name", type=click.Choice(list(ARRANGEMENTS)))
@click.option("--device", default="cuda", show_default=True)
@click.option("--batch-size", default=1024, show_default=True, help="Pairs.")
@click.option("--size", default=256, show_default=True, help="Pixels.")
@click.option("--seconds", default=6.0, show_default=True, help="Of measuring.")
@click.option("--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Of the recipe.")
def main(
    name: str, device: str, batch_size: int, size: int, seconds: float, overrides: tuple[str, ...]
) -> None:
    """Measures one arrangement."""
    arrangement, chosen = ARRANGEMENTS[name], torch.device(device)
    torch.backends.cudnn.benchmark = True
    uses_tf32 = arrangement.precision == "float32"
    with fast_kernels(chosen, uses_tf32) if arrangement.checked else nullcontext():
        print(json.dumps(measure(arrangement, chosen, batch_size, size, seconds, overrides)))


def measure(
    arrangement: Arrangement,
    device: torch.device,
    batch_size: int,
    size: int,
    seconds: float,
    overrides: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Takes steps for so many seconds; the first ones, in which kernels are chosen and compiled, are not counted."""
    index = synthetic_index(size)
    joint_views = f"backbone.joint_views={str(arrangement.joint_views).lower()}"
    recipe = load_recipe("sie", [joint_views, *overrides])
    step, precision = build_step(arrangement, recipe, index, device)
    parts = cycle([(random_pair(index, batch_size, seed, device),) for seed in (0, 1)])
    feed = (
        batches_on_device(parts, device)
        if arrangement.copied_ahead
        else (to_device(pair, device) for pair in parts)
    )
    begin = time.perf_counter()
    loss = step(next(feed))
    synchronize(device)
    first_step = time.perf_counter() - begin
    for _ in range(WARMUP_STEPS if device.type == "cuda" else 0):
        step(next(feed))
    synchronize(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    times = list(timed_chunks(step, feed, device, seconds))
    step_seconds = statistics.median(times)
    return {
        "precision": precision,
        "images_per_second": 2 * batch_size / step_seconds,
        "step_seconds": step_seconds,
        "first_step_seconds": first_step,
        "steps": len(times) * CHUNK,
        "peak_memory_gib": torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None,
        "loss": loss.item(),
    }


def timed_chunks(
    step: Step, feed: Iterator[DeviceBatch], device: torch.device, seconds: float
) -> Iterator[float]:
    """Seconds of a step, for each few steps that are taken until time is up, and for one such few at least."""
    end = time.perf_counter() + seconds
    while True:
        begin = time.perf_counter()
        for _ in range(CHUNK):
            step(next(feed))
        synchronize(device)
        yield (time.perf_counter() - begin) / CHUNK
        if time.perf_counter() > end:
            return


def leave_unfused(optimizer: Optimizer) -> None:
    """Lets an optimizer of ``build_optimizer`` run as PyTorch's default, which loops over lists of tensors."""
    for group in optimizer.param_groups:
        group["fused"] = None
    optimizer._step_supports_amp_scaling = False


def build_step(
    arrangement: Arrangement, recipe: Recipe, index: DatasetIndex, device: torch.device
) -> tuple[Step, str]:
    """The step of an arrangement, and the precision that it computes in."""
    is_float16_on_cpu = arrangement.precision == "float16" and device.type == "cpu"
    precision = Precision("float32" if is_float16_on_cpu else arrangement.precision, device)
    model = build_model(recipe, index)
    state = TrainingState(model, recipe, precision)
    if not arrangement.channels_last:
        use_channels_first(model)
    optimizer = state.optimizer
    if not arrangement.fused:
        leave_unfused(optimizer)
    health = Health(state) if arrangement.checked else None
    if arrangement.checkpointed:
        recompute_stages(model.backbone, arrangement.compiled)
    if arrangement.compiled:
        model.compile_backbones()

    def step(batch: DeviceBatch) -> Tensor:
        with precision.autocast():
            outcome = model(*batch)
        optimizer.zero_grad()
        precision.scaler.scale(outcome.loss).backward()
        if health:
            precision.scaler.unscale_(optimizer)
            health.check(outcome.loss)
        precision.scaler.step(optimizer)
        precision.scaler.update()
        model.after_step(0.0)
        return outcome.loss.detach()

    return step, precision.name


def use_channels_first(model: Model) -> None:
    """Has weights and images channels first, as most are, and not channels last, as our models are built."""

    def channels_first(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return tuple(value.contiguous() for value in inputs)

    model.to(memory_format=torch.contiguous_format)
    model.backbone.register_forward_pre_hook(channels_first)


def synthetic_index(size: int) -> DatasetIndex:
    """A dataset of 55 classes as 3DIEBench, with its channel statistics and without a view."""
    return DatasetIndex(
        variant="3diebench",
        latents=VARIANTS["3diebench"],
        classes=tuple(
            ClassInfo(label=label, synset=f"{label:08d}", name=f"class {label}") for label in range(CLASSES)
        ),
        image_size=size,
        views_per_object=50,
        seed=None,
        channel_mean=(0.5016, 0.5037, 0.5060),
        channel_std=(0.1030, 0.0999, 0.0969),
        splits={},
    )


def random_pair(index: DatasetIndex, batch_size: int, seed: int, device: torch.device) -> DrawBatch:
    """Random pixels, latents and labels, page-locked for a GPU."""
    generator = torch.Generator().manual_seed(seed)
    shape = (2, batch_size, index.image_size, index.image_size, 3)
    views = torch.randint(256, shape, dtype=torch.uint8, generator=generator).permute(0, 1, 4, 2, 3)
    latents = torch.rand(2, batch_size, len(index.latents), dtype=torch.float64, generator=generator)
    pair = DrawBatch(views, latents, torch.randint(CLASSES, (batch_size,), generator=generator))
    return pair.pin_memory() if device.type == "cuda" else pair


def synchronize(device: torch.device) -> None:
    """Waits for the GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
