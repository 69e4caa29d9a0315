"""The whole path once: models, views, shards, training, evaluation, report."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from iebench.cli.data import make_models_with_bar
from iebench.cli.evaluating import evaluate_run
from iebench.cli.rendering import Running, Selection, describe, render_with_bar
from iebench.recipes.recipe import load_recipe
from iebench.report.page import write_report
from iebench.report.tables import text_table
from iebench.training.loop import train
from iebench.training.run import Run
from render.plan import PlanSettings
from render.procedural import CLASSES
from render.settings import PRESETS

IMAGE_SIZE = 64


def run_demo(
    out: Path, seed: int, workers: int | None, objects_per_class: int, views: int, overrides: tuple[str, ...]
) -> None:
    """Runs every stage into ``out``; stages that are done are not done again.

    Args:
        out: gets ``models``, ``views``, ``run`` and ``report.html``.
        seed: of models, latents and training.
        workers: render processes; by default all cores.
        objects_per_class: how many models of each class.
        views: of each object.
        overrides: of the recipe, as ``--set`` takes them.
    """
    models, data, run = out / "models", out / "views", Run(out / "run")
    with _stage("models"):
        made = make_models_with_bar(models, None, objects_per_class, seed)
        click.echo(f"{made} models of {len(CLASSES)} classes in {models}", err=True)
    with _stage("views"):
        settings = PlanSettings(
            seed=seed,
            views=views,
            objects_per_shard=objects_per_class * 3,
            render=PRESETS["draft"].model_copy(update={"image_size": IMAGE_SIZE}),
        )
        running = Running(
            workers, device="cpu"
        )  # on a GPU the kernels would compile for longer than it renders
        summary = render_with_bar(models, data, settings, None, Selection(), running)
        click.echo(describe(summary, data), err=True)
    with _stage("training"):
        recipe = load_recipe("demo", (f"training.seed={seed}", *overrides))
        train(recipe, data, run.folder, resume=run.config_path.is_file())
    with _stage("evaluation"):
        result = evaluate_run(run, data)
    with _stage("report"):
        report = out / "report.html"
        write_report([run.folder], report)
    click.echo(text_table(result, shows_all=False))
    click.echo(f"\n{report}: open it in a browser")


@contextmanager
def _stage(name: str) -> Iterator[None]:
    click.echo(f"== {name}", err=True)
    start = time.perf_counter()
    yield
    click.echo(f"   {name}: {time.perf_counter() - start:.0f} s", err=True)
