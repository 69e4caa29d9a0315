"""Every method on one dataset, for one number of image views, by one evaluation.

Each recipe keeps its method and its coefficients; backbone, optimizer, training and probes are those of the
recipe `demo`, so that all see the same views in the same order at the size of a laptop. Run it again to go on
where it was stopped::

    python benchmarks/methods.py --data runs/demo/views --out runs/methods --image-views 30000 --seeds 3
"""

import argparse
import itertools
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import torch

from iebench.cli.evaluating import evaluate_run
from iebench.recipes import recipe_names
from iebench.recipes.recipe import Recipe, apply_override, load_recipe, parse_recipe
from iebench.report.contenders import Contender, contenders_of, untrained_of
from iebench.report.page import write_report
from iebench.report.subjects import read_subjects
from iebench.report.tables import KEY_NUMBERS, Cell, KeyNumber, Overview, overview
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
    "Published, on 3DIEBench, for the scale: SIE rotation R² 0.73 (pooled), after 168 million image views; EquiCaps 0.78 "
    "(pooled) with top-1 83.24%. On another dataset and size no difference to them means anything."
)


Verdict = Literal["holds", "does not hold", "not told apart"]


@dataclass(frozen=True)
class Finding:
    """One comparison of two numbers.

    Attributes:
        who: what is compared.
        numbers: both, as printed, with the interval that decides.
        verdict: whether it is as the papers find; only what the interval excludes is called a difference.
    """

    who: str
    numbers: str
    verdict: Verdict


def main() -> None:
    """Trains, evaluates and compares."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    index = open_dataset(options.data)
    names = options.recipes or [name for name in recipe_names() if not name.startswith("demo")]
    folders: dict[str, list[Path]] = {}
    for name, seed in itertools.product(names, range(options.seed, options.seed + options.seeds)):
        start = time.perf_counter()
        print(f"== {name}, seed {seed} ({1 + names.index(name)} of {len(names)})", file=sys.stderr)
        run = Run(options.out / f"{name}-seed{seed}")
        try:
            run_recipe(run, small_recipe(name, index, options, seed), options.data)
        except TrainingStopped:
            raise
        except IebenchError as error:
            print(f"   {name} is left out: {error}", file=sys.stderr)
            continue
        folders.setdefault(name, []).append(run.folder)
        print(f"   {name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    write_report([folder for found in folders.values() for folder in found], options.out / "report.html")
    text = section(contenders_by_recipe(folders), index, options.image_views)
    put_section(options.results, text)
    print(text)
    print(f"\n{options.results} and {options.out / 'report.html'} are written")
    if len(folders) < len(names):
        sys.exit(
            f"{len(names) - len(folders)} of {len(names)} recipes are left out; the messages above say why"
        )


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
    parser.add_argument("--seed", type=int, default=0, help="the first, of weights and pairs (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="how many, one after the other (%(default)s)")
    parser.add_argument("--recipes", nargs="*", metavar="RECIPE", help="by default all but demo")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Markdown file that gets the table")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of every recipe")
    return parser.parse_args()


def small_recipe(name: str, index: DatasetIndex, options: argparse.Namespace, seed: int) -> Recipe:
    """A recipe's method in the sections of `demo`, for the number of image views asked for."""
    content, demo = (load_recipe(text).model_dump() for text in (name, "demo"))
    method = content["method"]
    fields = SMALL | (SMALL_SIE if method["name"] == "sie" else {})
    content["method"] = method | {field: value for field, value in fields.items() if method.get(field)}
    content |= {section: demo[section] for section in SHARED_SECTIONS}
    epochs = round(options.image_views / 2 / index.split("train").objects)
    content["training"] |= {"epochs": max(1, epochs), "seed": seed}
    for override in options.set:
        apply_override(content, override)
    return parse_recipe(content, f"recipe {name}")


def run_recipe(run: Run, recipe: Recipe, data: Path) -> None:
    """Trains and evaluates what is not trained and evaluated yet."""
    train(recipe, data, run.folder, resume=run.config_path.is_file())
    evaluate_run(run, data)


def contenders_by_recipe(folders: dict[str, list[Path]]) -> dict[str, Contender]:
    """The runs of each recipe as one contender; all are evaluated on the same objects."""
    contenders = {}
    for name, found in folders.items():
        (contender,) = contenders_of(read_subjects(found))
        contenders[name] = replace(contender, title=name)
    return contenders


def section(contenders: dict[str, Contender], index: DatasetIndex, image_views: int) -> str:
    """The Markdown of one comparison: table, expectations, published figures."""
    any_one = next(iter(contenders.values()))
    evaluation = any_one.subjects[0].evaluation
    test, fit = evaluation.test, evaluation.fit
    assert fit is not None
    seeds = max(len(contender.subjects) for contender in contenders.values())
    table = overview([*contenders.values(), *untrained_of(list(contenders.values()))])
    checked = "\n".join(summary(claim, found) for claim, found in expectations(contenders).items() if found)
    return f"""## Methods compared
{image_views:,} image views for each recipe and seed ({seeds} each), on {fit.objects} objects of {len(index.classes)} \
classes with {test.views_per_object} views of {index.image_size} px each; evaluated on {test.objects} other objects, by \
probes of the whole representation. In brackets 95 % intervals over objects (and seeds, where there are several); bold \
are the best and what paired differences do not tell apart from it, among predictors that are told the same.

{markdown(table)}

What the papers find, at this size. A difference is called one if the 95 % interval of the paired difference, in \
brackets, excludes zero:

{checked}

{PUBLISHED}
"""


def markdown(table: Overview) -> str:
    """The overview as a Markdown table."""
    lines = ["| | " + " | ".join(table.headers) + " |", "|---" * (len(table.headers) + 1) + "|"]
    for title, cells in table.rows:
        lines.append(f"| `{title}` | " + " | ".join(map(_cell, cells)) + " |")
    lines.append("| chance | " + " | ".join(table.chance) + " |")
    return "\n".join(lines)


def _cell(cell: Cell) -> str:
    value = f"**{cell.text}**" if cell.is_best else cell.text
    return " ".join(text for text in (value, cell.interval, cell.spread) if text)


def expectations(contenders: dict[str, Contender]) -> dict[str, list[Finding]]:
    """What the papers find, each with the comparisons that bear on it."""
    pairs = list(BASES.items())
    told = [(f"{name}_rotcolor", name) for name in ("sie", "augself", *(n for n in BASES if "equimod" in n))]
    methods = (*INVARIANT, *BASES)
    return {
        "Equivariant methods hold more rotation than invariant ones": compare(
            "rotation R²", contenders, pairs
        ),
        "Their predictors retrieve better than chance (invariant methods have none)": against_chance(
            contenders
        ),
        "Invariant methods classify better": compare(
            "top-1", contenders, [(base, name) for name, base in pairs]
        ),
        "Those that are told colour hold more of it": compare("colour R²", contenders, told),
        "The variance of predictions keeps up SIE's rotation": compare(
            "rotation R²", contenders, [("sie", "sie_no_variance")]
        ),
        "Supervision by classes is an upper bound of classification": compare(
            "top-1", contenders, [("supervised", name) for name in methods]
        ),
        "Supervision by rotation is an upper bound of rotation": compare(
            "rotation R²", contenders, [("supervised_rotation", name) for name in methods]
        ),
    }


def compare(header: str, contenders: dict[str, Contender], pairs: list[tuple[str, str]]) -> list[Finding]:
    """Whether the first of each pair has more of something than the second, where both were run."""
    key = number(header)
    found = []
    for more, less in pairs:
        if more in contenders and less in contenders:
            difference = contenders[more].difference(contenders[less], key.path)
            if difference is not None and difference.low is not None and difference.high is not None:
                show = key.metric.show
                numbers = f"{show(difference.value)} [{show(difference.low)}, {show(difference.high)}]"
                verdict = _verdict(difference.low, difference.high, 0.0)
                found.append(Finding(f"{more} over {less}", numbers, verdict))
    return found


def against_chance(contenders: dict[str, Contender]) -> list[Finding]:
    """Whether the MRR of each method that has one is above that of random ranks, by its interval over objects."""
    key = number("MRR")
    found = []
    for name, contender in contenders.items():
        score = contender.summary(key.path)
        if score and score.low is not None and score.high is not None and score.chance is not None:
            show = key.metric.show
            numbers = (
                f"{show(score.mean)} [{show(score.low)}, {show(score.high)}] against {show(score.chance)}"
            )
            found.append(Finding(name, numbers, _verdict(score.low, score.high, score.chance)))
    return found


def _verdict(low: float, high: float, reference: float) -> Verdict:
    if low > reference:
        return "holds"
    return "does not hold" if high < reference else "not told apart"


def summary(claim: str, found: list[Finding]) -> str:
    """How often a claim holds, with the numbers of every comparison."""
    counts = {verdict: [item for item in found if item.verdict == verdict] for verdict in get_args(Verdict)}
    lines = [
        f"- {claim}: " + ", ".join(f"{verdict} in {len(items)}" for verdict, items in counts.items()) + "."
    ]
    for verdict, items in counts.items():
        if items:
            listed = "; ".join(f"{item.who} ({item.numbers})" for item in items)
            lines.append(f"  - {verdict.capitalize()}: {listed}")
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
