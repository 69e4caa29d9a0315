"""Every method on one dataset: the same search, the same image views, the same evaluation, several seeds.

Each recipe keeps its method; backbone, optimizer, training and probes are those of the recipe `demo`, so that all see
the same views in the same order at the size of a laptop. Half of the validation objects are for the search of learning
rate and of the method's own weight, the others for the test. A dataset of 2,900 training objects::

    iebench models make runs/methods/models --objects-per-class 200
    iebench render runs/methods/models runs/methods/views --views 6 --size 64 --preset draft
    python benchmarks/methods.py --data runs/methods/views --out runs/methods --image-views 60000 --seeds 3

The same command goes on where it was stopped. With ``--minutes 9`` it stops by itself and exits with 75 as long as
something is left to do. On a GPU: ``--device cuda --image-views 6000000``.
"""

import argparse
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from iebench.cli.evaluating import evaluate_run
from iebench.recipes import recipe_names
from iebench.recipes.recipe import Recipe, apply_override, load_recipe, parse_recipe
from iebench.report.page import write_report
from iebench.training.loop import TrainingStopped, train
from iebench.training.run import Run
from methods_data import split_validation
from methods_search import (
    TUNING_SEED,
    Choice,
    Values,
    search,
    start_values,
    trial_name,
    tuning_score,
    with_values,
)
from methods_table import Tuning, contenders_by_recipe, put_section, section
from shards.errors import IebenchError
from shards.schema import DatasetIndex, open_dataset
from time_limit import MORE_TO_DO, TimeIsUp, TimeLimit

RESULTS = Path(__file__).with_name("RESULTS.md")
HEADLINES = (
    "vicreg",
    "sie",
    "simclr",
    "equimod_simclr_3diebench",
    "simclr_only_equivariant",
    "byol",
    "equimod_byol_3diebench",
    "augself",
    "steerable",
    "supervised",
)
"""The recipes that come first."""
SHARED_SECTIONS = ("backbone", "optimizer", "training", "evaluation")
SMALL: dict[str, Any] = {
    "projector": [512, 512, 128],
    "similarity": 1.0,
    "prediction_width": 512,
    "free_dimension": 16,
    "momentum": 0.99,
}
"""What every method that has such a field takes instead of the published value: what `demo` takes, and for BYOL a
target network that is fast enough for a few hundred steps. The search starts here."""
SMALL_SIE = {"equivariance": 2.0}


@dataclass(frozen=True)
class Comparison:
    """What is compared on what; the validation objects of ``tuning`` are for the search, those of ``test`` for the rest."""

    options: argparse.Namespace
    index: DatasetIndex
    tuning: Path
    test: Path
    limit: TimeLimit

    def choose(self, name: str) -> Choice:
        """Searches the values of one recipe; trials that are done are not done again."""
        start = start_values(self._recipe(name, self.options.tuning_views, TUNING_SEED, {}))
        return search(start, partial(self._try, name))

    def _try(self, name: str, values: Values) -> float:
        run = Run(self.options.out / "search" / name / trial_name(values))
        recipe = self._recipe(name, self.options.tuning_views, TUNING_SEED, values)
        print(f"   {name}: trying {trial_name(values)}", file=sys.stderr)
        self._train(recipe, self.tuning, run)
        return tuning_score(run, recipe, self.tuning)

    def measure(self, name: str, seed: int, values: Values) -> Path:
        """Trains and evaluates one recipe, as far as it is not done; returns the run's folder."""
        run = Run(self.options.out / f"{name}-seed{seed}")
        self._train(self._recipe(name, self.options.image_views, seed, values), self.test, run)
        evaluate_run(run, self.test, self.options.device)
        return run.folder

    def _train(self, recipe: Recipe, data: Path, run: Run) -> None:
        train(recipe, data, run.folder, self.options.device, resume=run.config_path.is_file())
        self.limit.check()

    def _recipe(self, name: str, image_views: int, seed: int, values: Values) -> Recipe:
        """A recipe's method in the sections of `demo`, for a number of image views and with searched values."""
        content, demo = (load_recipe(text).model_dump() for text in (name, "demo"))
        method = content["method"]
        fields = SMALL | (SMALL_SIE if method["name"] == "sie" else {})
        content["method"] = method | {field: value for field, value in fields.items() if method.get(field)}
        content |= {section: demo[section] for section in SHARED_SECTIONS}
        epochs = max(1, round(image_views / 2 / self.index.split("train").objects))
        content["training"] |= {"epochs": epochs, "validate_every": epochs, "seed": seed}
        if values:
            content = with_values(content, values)
        for override in self.options.set:
            apply_override(content, override)
        return parse_recipe(content, f"recipe {name}")


def main() -> None:
    """Searches, trains, evaluates and compares."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    names = options.recipes or in_order(name for name in recipe_names() if is_on_renders(name))
    tuning, test = split_validation(options.data, options.out / "data")
    comparison = Comparison(options, open_dataset(options.data), tuning, test, TimeLimit(options.minutes))
    folders: dict[str, list[Path]] = {}
    choices: dict[str, Choice] = {}
    with comparison.limit.running():
        for name in names:
            measure_recipe(comparison, name, folders, choices)
    if not folders:
        sys.exit("no recipe could be measured; the messages above say why")
    write_report([folder for found in folders.values() for folder in found], options.out / "report.html")
    print(write_section(comparison, folders, choices))
    print(f"\n{options.results} and {options.out / 'report.html'} are written")
    left_out = [name for name in names if name not in folders]
    if left_out:
        sys.exit(f"{len(left_out)} of {len(names)} recipes are left out; the messages above say why")


def is_on_renders(name: str) -> bool:
    """Whether a recipe learns from stored views, and is none of the demo's."""
    return not name.startswith("demo") and load_recipe(name).augmentation is None


def measure_recipe(
    comparison: Comparison, name: str, folders: dict[str, list[Path]], choices: dict[str, Choice]
) -> None:
    """Searches one recipe's values and measures all of its seeds; one that fails is named and left out."""
    options = comparison.options
    start = time.perf_counter()
    print(f"== {name}", file=sys.stderr)
    try:
        choice = comparison.choose(name) if options.search else None
        seeds = range(options.seed, options.seed + options.seeds)
        found = [comparison.measure(name, seed, choice.best.values if choice else {}) for seed in seeds]
    except TrainingStopped:
        raise
    except IebenchError as error:
        print(f"   {name} is left out: {error}", file=sys.stderr)
        return
    folders[name] = found
    if choice:
        choices[name] = choice
    write_section(comparison, folders, choices)
    print(f"   {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)


def write_section(comparison: Comparison, folders: dict[str, list[Path]], choices: dict[str, Choice]) -> str:
    """Writes the table of the recipes that are done; returns its Markdown."""
    options = comparison.options
    tuning = Tuning(options.tuning_views, open_dataset(comparison.tuning).split("val").objects, choices)
    text = section(contenders_by_recipe(folders), comparison.index, options.image_views, tuning)
    put_section(options.results, text)
    return text


def in_order(names: Iterator[str]) -> list[str]:
    """The headline recipes first, then the others by name."""
    found = set(names)
    headlines = [name for name in HEADLINES if name in found]
    return headlines + sorted(found.difference(headlines))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Search, train, evaluate and compare every method on one dataset."
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the dataset")
    add("--out", type=Path, required=True, help="gets a run folder per recipe and seed, and report.html")
    add("--image-views", type=int, default=60_000, help="that every recipe sees (%(default)s)")
    add("--tuning-views", type=int, help="that every trial of the search sees (a quarter of --image-views)")
    add("--no-search", dest="search", action="store_false", help="take the values of the recipe demo")
    add("--minutes", type=float, help=f"stop after so long, with exit code {MORE_TO_DO}")
    add("--threads", type=int, default=2, help="of PyTorch (%(default)s)")
    add("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    add("--seed", type=int, default=0, help="the first, of weights and pairs (%(default)s)")
    add("--seeds", type=int, default=3, help="how many, one after the other (%(default)s)")
    add("--recipes", nargs="*", metavar="RECIPE", help="by default all but demo, the headline ones first")
    add("--results", type=Path, default=RESULTS, help="Markdown file that gets the table")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="of every recipe")
    options = parser.parse_args()
    options.tuning_views = options.tuning_views or options.image_views // 4
    return options


def run_script(main: Callable[[], None]) -> None:
    """Runs a script; Ctrl-C, the end of the time and an error meant for the person are one sentence each."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    try:
        main()
    except TimeIsUp as error:
        print(error, file=sys.stderr)
        sys.exit(MORE_TO_DO)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        sys.exit(130)
    except IebenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    run_script(main)
