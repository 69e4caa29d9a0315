"""Runs the whole path once: models, views, shards, one or two trainings, their evaluation, a report."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click
import torch

from iebench.cli.data import make_models_with_bar
from iebench.cli.evaluating import evaluate_networks, print_results
from iebench.cli.pages import write_pages
from iebench.cli.rendering import Selection, describe, render_with_bar
from iebench.recipes.recipe import Recipe, load_recipe
from iebench.training.loop import train
from iebench.training.pace import readable_duration
from iebench.training.precision import has_fast_bfloat16
from iebench.training.run import Run
from render.executor import Execution
from render.plan import PlanSettings, make_plan
from render.procedural import CLASSES
from render.settings import PRESETS
from shards.child_processes import available_cores

IMAGE_SIZE = 64
SAMPLES = 1
"""Paths traced per pixel; the 4 paths of ``draft`` take longer and gave no better scores at 64 px (benchmarks/RESULTS.md,
"The demo")."""
RECIPES = {"run": "demo", "vicreg": "demo_vicreg"}
"""Recipes by the folders of their runs; the first is the demo's main run."""

# Two cores without a GPU. Measured in benchmarks/RESULTS.md, "The demo".
MODELS_PER_SECOND = 44
SECONDS_PER_OBJECT, SECONDS_PER_VIEW = 0.02, 0.0108
TRAINED_PER_SECOND = {"bfloat16": 560, "float32": 340}
EVALUATED_PER_SECOND = 1000
PROBING_SECONDS = 54
REPORT_SECONDS = 30


@dataclass
class Stages:
    """The stages of a demo, with the seconds that each is expected to take on two cores and those that it took."""

    expected: dict[str, float]
    took: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def run(self, name: str) -> Iterator[None]:
        """Announces and times one stage."""
        number = list(self.expected).index(name) + 1
        expected = _time(self.expected[name])
        click.echo(f"== {number} of {len(self.expected)}: {name} (about {expected})", err=True)
        start = time.perf_counter()
        yield
        self.took[name] = time.perf_counter() - start


def run_demo(
    out: Path,
    seed: int,
    workers: int | None,
    objects_per_class: int,
    views: int,
    overrides: tuple[str, ...],
    compares: bool = False,
) -> None:
    """Runs every stage that is not done yet; the arguments are the options of `iebench demo`.

    ``out`` gets ``models``, ``views``, ``run``, ``vicreg``, ``report.html`` and ``report-explorer.html``.
    """
    models, data = out / "models", out / "views"
    names = list(RECIPES)[: 2 if compares else 1]
    recipes = {name: demo_recipe(RECIPES[name], seed, overrides) for name in names}
    stages = Stages(expected_seconds(list(recipes.values()), objects_per_class, views))
    click.echo(f"On two quiet cores this takes about {_times(stages.expected)}.", err=True)
    with stages.run("models"):
        made = make_models_with_bar(models, None, objects_per_class, seed, workers or available_cores())
        click.echo(f"{made} models of {len(CLASSES)} classes in {models}", err=True)
    with stages.run("views"):
        settings = PlanSettings(
            seed=seed,
            views=views,
            objects_per_shard=max(3, 240 // views),
            render=PRESETS["draft"].model_copy(update={"image_size": IMAGE_SIZE, "samples": SAMPLES}),
        )
        plan = make_plan(Selection().find_objects(models), settings)
        execution = Execution(workers, device="cpu")  # a GPU would compile kernels for longer than it renders
        summary = render_with_bar(plan, data, execution)
        click.echo(describe(summary, data), err=True)
    runs = [Run(out / name) for name in recipes]
    for run, recipe in zip(runs, recipes.values(), strict=True):
        with stages.run(_training(recipe)):
            train(recipe, data, run.folder, resume=run.config_path.is_file())
    with stages.run("evaluation"):
        results = evaluate_networks([str(run.folder) for run in runs], data, existing="replace")
    with stages.run("report"):
        report = out / "report.html"
        write_pages([run.folder for run in runs], report, models, explores=True, workers=workers)
    methods = [recipe.method.name for recipe in recipes.values()]
    print_results(dict(zip(methods, results.values(), strict=True)))
    click.echo(f"It took {_times(stages.took)}.", err=True)
    click.echo(f"\n{report}: open it in a browser")


def demo_recipe(name: str, seed: int, overrides: Sequence[str]) -> Recipe:
    """Loads a recipe of the demo; fields of the method apply to SIE alone."""
    is_sie = name == RECIPES["run"]
    fitting = [text for text in overrides if is_sie or not text.strip().startswith("method.")]
    return load_recipe(name, (f"training.seed={seed}", *fitting))


def expected_seconds(recipes: Sequence[Recipe], objects_per_class: int, views: int) -> dict[str, float]:
    """Estimates the seconds of each stage on two cores, by its name.

    Four in five objects are for training. The last run is evaluated without an untrained network of its own.
    """
    objects = objects_per_class * len(CLASSES)
    rate = TRAINED_PER_SECOND["bfloat16" if has_fast_bfloat16(torch.device("cpu")) else "float32"]
    trained = {_training(recipe): 1.6 * objects * recipe.training.epochs / rate for recipe in recipes}
    networks = len(recipes) + 1
    return {
        "models": objects / MODELS_PER_SECOND,
        "views": objects * (SECONDS_PER_OBJECT + views * SECONDS_PER_VIEW),
        **trained,
        "evaluation": networks * (objects * views / EVALUATED_PER_SECOND + PROBING_SECONDS / 2),
        "report": REPORT_SECONDS,
    }


def _training(recipe: Recipe) -> str:
    return f"training {recipe.method.name}"


def _times(stages: Mapping[str, float]) -> str:
    """Says the sum of some stages' seconds, and each of them."""
    listed = ", ".join(f"{name} {_time(seconds)}" for name, seconds in stages.items())
    return f"{_time(sum(stages.values()))}: {listed}"


def _time(seconds: float) -> str:
    return readable_duration(max(1, seconds))
