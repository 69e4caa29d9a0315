"""Views/s of whole renders on a GPU with 1, 2, 4 and 8 workers; on a machine without one it says so.

    python benchmarks/gpu_render.py data/ShapeNetCore.v2 --objects 64

Start NVIDIA's MPS before (docs/scaling.md): without it, processes take turns on the GPU. `--device cpu` measures the
CPU in the same way, which is also how this script is tried out where there is no GPU.
"""

import tempfile
from pathlib import Path

import click

from render.catalog import ObjectRef, scan_models
from render.dataset import render_dataset
from render.device_choice import CPU, choose_devices
from render.executor import Execution
from render.local import find_gpus
from render.plan import PlanSettings, make_plan
from render.settings import PRESETS
from render_speed import ObjectClock
from shards.schema import open_dataset


class _Clock(ObjectClock):
    """Tells what renders and what fails."""

    def note(self, sentence: str) -> None:
        click.echo(sentence, err=True)

    def failed(self, item: ObjectRef, reason: str) -> None:
        click.echo(f"{item.synset}/{item.object_id}: {reason}", err=True)


@click.command()
@click.argument("models", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--objects", default=64, show_default=True)
@click.option("--views", default=50, show_default=True)
@click.option("--size", default=256, show_default=True)
@click.option("--device", default="auto", type=click.Choice(["auto", "optix", "cuda", "hip", "metal", "cpu"]))
@click.option("--workers", default="1,2,4,8", show_default=True, help="Numbers of workers, by commas.")
def main(models: Path, objects: int, views: int, size: int, device: str, workers: str) -> None:
    """Prints a row for each number of workers."""
    settings = PlanSettings(
        views=views, render=PRESETS["standard"].model_copy(update={"image_size": size}), objects_per_shard=8
    )
    plan = make_plan(scan_models(models, objects), settings)
    if device == "auto" and CPU in choose_devices("auto", find_gpus):
        raise click.UsageError("Blender can use no GPU here; --device cpu measures the CPU")
    counts = [int(number) for number in workers.split(",")]
    if len(plan.objects) <= max(counts):
        raise click.UsageError(f"{len(plan.objects)} objects are too few for {max(counts)} workers")
    click.echo("| workers | device | views/s |\n|---:|---|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for number in counts:
            out, clock = Path(folder) / f"{number}-workers", _Clock()
            render_dataset(plan, out, Execution(workers=number, device=device), clock)
            (kind,) = open_dataset(out).renderer["devices"]
            click.echo(f"| {number} | {kind} | {clock.rate(skip=number):.1f} |")


if __name__ == "__main__":
    main()
