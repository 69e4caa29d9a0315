"""Every method on one dataset, for one number of image views, by one evaluation.

Each recipe keeps its method and its coefficients; backbone, optimizer, training and probes are those of the
recipe `demo`, so that all see the same views in the same order at the size of a laptop. Run it again to go on
where it was stopped::

    python benchmarks/methods.py --data runs/demo/views --out runs/methods --image-views 30000
"""

import argparse
import math
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from iebench.cli.evaluating import evaluate_run
from iebench.evaluation.results import TRAINED, Evaluation, read_evaluation
from iebench.evaluation.retrieval import chance_mrr
from iebench.recipes import recipe_names
from iebench.recipes.recipe import Recipe, apply_override, load_recipe, parse_recipe
from iebench.report.page import write_report
from iebench.report.tables import KEY_NUMBERS, KeyNumber, Overview, Results, overview
from iebench.training.loop import TrainingStopped, train
from iebench.training.run import Run
from shards.errors import IebenchError
from shards.files import write_text
from shards.schema import DatasetIndex, open_dataset

RESULTS = Path(__file__).with_name("RESULTS.md")
BEGIN, END = "<!-- methods: begin -->", "<!-- methods: end -->"
SHARED_SECTIONS = ("backbone", "optimizer", "training", "evaluation")
SMALL: dict[str, Any] = {
    "projector": [512, 512, 128],
    "similarity": 1.0,
    "prediction_width": 512,
    "free_dimension": 16,
    "momentum": 0.99,
}
"""What every method that has such a field takes instead of the published value: what `demo` takes, and for BYOL a
target network that is fast enough for a few hundred steps."""
SMALL_SIE = {"equivariance": 2.0}

INVARIANT = ("vicreg", "vicreg_part", "simclr", "byol")
BASES = {
    "sie": "vicreg",
    "sie_only_equivariant": "vicreg",
    "equimod_vicreg": "vicreg",
    "equimod_simclr": "simclr",
    "simclr_only_equivariant": "simclr",
    "augself": "simclr",
    "equimod_byol": "byol",
    "steerable": "simclr",
}
"""Equivariant methods, each with the invariant one that it is compared to."""

PUBLISHED = (
    "Published, on 3DIEBench with ResNet-18: SIE rotation R² 0.73, after 168 million image views; EquiCaps rotation "
    "R² 0.78 with top-1 83.24%."
)


@dataclass(frozen=True)
class Finding:
    """One comparison of two numbers.

    Attributes:
        who: what is compared.
        numbers: both, as printed.
        holds: whether it is as the papers find.
    """

    who: str
    numbers: str
    holds: bool


def main() -> None:
    """Trains, evaluates and compares."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    index = open_dataset(options.data)
    names = options.recipes or [name for name in recipe_names() if name != "demo"]
    recipes = {name: small_recipe(name, index, options) for name in names}
    runs = []
    for name, recipe in recipes.items():
        start = time.perf_counter()
        print(f"== {name} ({1 + names.index(name)} of {len(names)})", file=sys.stderr)
        run = Run(options.out / name)
        try:
            run_recipe(run, recipe, options.data)
        except TrainingStopped:
            raise
        except IebenchError as error:
            print(f"   {name} is left out: {error}", file=sys.stderr)
            continue
        runs.append(run)
        print(f"   {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    write_report(runs, options.out / "report.html")
    text = section({run.folder.name: read_evaluation(run.folder) for run in runs}, index, options.image_views)
    put_section(options.results, text)
    print(text)
    print(f"\n{options.results} and {options.out / 'report.html'} are written")
    if len(runs) < len(names):
        sys.exit(f"{len(names) - len(runs)} of {len(names)} recipes are left out; the messages above say why")


def parse_options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Train, evaluate and compare every method on one dataset.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the dataset")
    parser.add_argument(
        "--out", type=Path, required=True, help="gets a run folder per recipe, and report.html"
    )
    parser.add_argument(
        "--image-views", type=int, default=30_000, help="that every recipe sees (%(default)s)"
    )
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and pairs (%(default)s)")
    parser.add_argument("--recipes", nargs="*", metavar="RECIPE", help="by default all but demo")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Markdown file that gets the table")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of every recipe")
    return parser.parse_args()


def small_recipe(name: str, index: DatasetIndex, options: argparse.Namespace) -> Recipe:
    """A recipe's method in the sections of `demo`, for the number of image views asked for."""
    content, demo = (load_recipe(text).model_dump() for text in (name, "demo"))
    method = content["method"]
    fields = SMALL | (SMALL_SIE if method["name"] == "sie" else {})
    content["method"] = method | {field: value for field, value in fields.items() if method.get(field)}
    content |= {section: demo[section] for section in SHARED_SECTIONS}
    epochs = round(options.image_views / 2 / index.split("train").objects)
    content["training"] |= {"epochs": max(1, epochs), "seed": options.seed}
    for override in options.set:
        apply_override(content, override)
    return parse_recipe(content, f"recipe {name}")


def run_recipe(run: Run, recipe: Recipe, data: Path) -> None:
    """Trains and evaluates what is not trained and evaluated yet."""
    train(recipe, data, run.folder, resume=run.config_path.is_file())
    evaluate_run(run, data)


def section(evaluations: dict[str, Evaluation], index: DatasetIndex, image_views: int) -> str:
    """The Markdown of one comparison: table, expectations, published figures."""
    any_one = next(iter(evaluations.values()))
    networks = {name: evaluation.of(TRAINED) for name, evaluation in evaluations.items()}
    test, fit = any_one.test, any_one.fit
    assert fit is not None
    chance = {key: number(key).metric.show(level) for key, level in chance_levels(networks).items()}
    checked = "\n".join(
        summary(claim, found) for claim, found in expectations(networks, any_one).items() if found
    )
    return f"""## Methods compared
{image_views:,} image views for each recipe, on {fit.objects} objects of {len(index.classes)} classes with {test.views_per_object} \
views of {index.image_size} px each; evaluated on {test.objects} other objects, by probes of the whole \
representation.

{markdown(overview(evaluations))}

Chance: {", ".join(f"{name} {level}" for name, level in chance.items())}. One validation object is \
{1 / test.objects:.1%} of top-1.

What the papers find, at this size:

{checked}

{PUBLISHED}
"""


def chance_levels(networks: dict[str, Results]) -> dict[str, float]:
    """The chance levels of the columns of the overview, by their headers."""
    levels: dict[str, float] = {}
    for key in KEY_NUMBERS:
        found = [key.metric.chance(results) for results in networks.values()]
        level = next((item for item in found if item is not None), None)
        if level is not None:
            levels[key.header] = level
    return levels


def markdown(table: Overview) -> str:
    """The overview as a Markdown table."""
    lines = ["| | " + " | ".join(table.headers) + " |", "|---" * (len(table.headers) + 1) + "|"]
    for title, cells in table.rows:
        shown = (f"**{text}**" if is_best else text for text, is_best in cells)
        lines.append(f"| `{title}` | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def expectations(networks: dict[str, Results], evaluation: Evaluation) -> dict[str, list[Finding]]:
    """What the papers find, each with the comparisons that bear on it."""
    grain = 1 / evaluation.test.objects
    pairs = list(BASES.items())
    told = [(f"{name}_rotcolor", name) for name in ("sie", "augself", *(n for n in BASES if "equimod" in n))]
    methods = (*INVARIANT, *BASES)
    return {
        "Equivariant methods hold more rotation than invariant ones": compare("rotation R²", networks, pairs),
        "Their predictors retrieve better than chance, by two standard errors (invariant methods have none)": (
            against_chance(networks, evaluation)
        ),
        "Invariant methods classify no worse, to one validation object": compare(
            "top-1", networks, [(base, name) for name, base in pairs], grain
        ),
        "Those that are told colour hold more of it": compare("colour R²", networks, told),
        "The variance of predictions keeps up SIE's rotation": compare(
            "rotation R²", networks, [("sie", "sie_no_variance")]
        ),
        "Supervision by classes is an upper bound of classification": compare(
            "top-1", networks, [("supervised", name) for name in methods]
        ),
        "Supervision by rotation is an upper bound of rotation": compare(
            "rotation R²", networks, [("supervised_rotation", name) for name in methods]
        ),
    }


def compare(
    header: str, networks: dict[str, Results], pairs: list[tuple[str, str]], slack: float = 0.0
) -> list[Finding]:
    """Whether the first of each pair has more of something than the second, less ``slack``, where both were run."""
    key = number(header)
    found = []
    for more, less in pairs:
        if more in networks and less in networks:
            first, second = key.metric.read(networks[more]), key.metric.read(networks[less])
            if first is not None and second is not None:
                numbers = f"{key.metric.show(first)} against {key.metric.show(second)}"
                found.append(Finding(f"{more} over {less}", numbers, first > second - slack))
    return found


def against_chance(networks: dict[str, Results], evaluation: Evaluation) -> list[Finding]:
    """Whether the MRR of each method that has one is above that of random ranks, each view counted once."""
    key = number("MRR")
    views, chance = evaluation.test.views_per_object, chance_mrr(evaluation.test.views_per_object)
    spread = statistics.pstdev(1 / rank for rank in range(1, views + 1))
    bar = chance + 2 * spread / math.sqrt(evaluation.test.objects * views)
    values = {name: key.metric.read(results) for name, results in networks.items()}
    return [
        Finding(name, f"{key.metric.show(value)} against {key.metric.show(chance)}", value > bar)
        for name, value in values.items()
        if value is not None
    ]


def summary(claim: str, found: list[Finding]) -> str:
    """How often a claim holds, with the numbers of where it does and where it does not."""
    held, failed = ([item for item in found if item.holds is holds] for holds in (True, False))
    lines = [f"- {claim}: holds in {len(held)} of {len(found)}."]
    for title, items in (("Holds", held), ("Does not hold", failed)):
        if items:
            lines.append(f"  - {title}: " + "; ".join(f"{item.who} ({item.numbers})" for item in items))
    return "\n".join(lines)


def number(header: str) -> KeyNumber:
    """A column of the overview by its header."""
    return next(item for item in KEY_NUMBERS if item.header == header)


def put_section(path: Path, text: str) -> None:
    """Puts the section between its marks, or at the end of the file."""
    old = path.read_text(encoding="utf-8") if path.is_file() else "# What was measured\n"
    before, _, rest = old.partition(BEGIN)
    after = rest.partition(END)[2]
    write_text(path, f"{before.rstrip()}\n\n{BEGIN}\n{text}{END}\n{after.lstrip()}")


if __name__ == "__main__":
    try:
        main()
    except IebenchError as error:
        sys.exit(str(error))
