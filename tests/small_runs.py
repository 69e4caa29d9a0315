"""Recipes small enough for a test, and what their runs logged."""

from pathlib import Path
from typing import Any

from iebench.recipes.recipe import Recipe, load_recipe
from iebench.training.metrics_log import read_metrics
from iebench.training.model import build_model
from iebench.training.run import Run, save_checkpoint
from shards.schema import open_dataset

SMALL = [
    "optimizer.schedule=constant",  # so that a run may be prolonged
    "optimizer.lr=1e-3",
    "method.projector=[64, 64, 32]",
    "training.batch_size=4",
    "training.workers=0",
    "training.precision=float32",  # as exact on a CPU that multiplies in bfloat16
    "training.log_every=1",
    "training.checkpoint_every=1",
    "training.validate_every=1000",
    "evaluation.epochs=2",
    "evaluation.hidden_width=16",
    "evaluation.linear_color_epochs=2",
]


TIMINGS = ("images_per_second", "data_wait", "peak_memory_gib")
"""Keys of a record that differ between two runs of one recipe."""


def small_recipe(*overrides: str) -> Recipe:
    return load_recipe("demo", [*SMALL, *overrides])


def losses(run_folder: Path) -> list[tuple[int, float]]:
    return [(record["step"], record["loss"]) for record in read_metrics(run_folder / "metrics.jsonl")]


def numbers(run_folder: Path) -> list[dict[str, Any]]:
    """What a run logged without what differs from one time to the next."""
    records = read_metrics(run_folder / "metrics.jsonl")
    return [{key: value for key, value in record.items() if key not in TIMINGS} for record in records]


def untrained_run(folder: Path, data: Path, recipe: Recipe) -> Run:
    """A run whose last checkpoint is the network as it was drawn."""
    run = Run(folder)
    model = build_model(recipe, open_dataset(data))
    run.create(recipe, data, open_dataset(data))
    save_checkpoint(run.last_checkpoint, {"model": model.state_dict()})
    return run
