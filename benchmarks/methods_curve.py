"""What more image views buy one recipe: rotation R² and top-1 over the views that a training saw.

    python benchmarks/methods_curve.py --data runs/methods/views --out runs/curve --device cuda --minutes 9

Each number of views is a training of its own, with the values of the recipe `demo` and its schedule over all of it.
OUT gets ``curve.svg`` and ``curve.md`` of what is done. Like ``methods.py`` it goes on where it was stopped, and exits
with 75 as long as something is left to do.
"""

import argparse
import io
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from iebench.backbones.encoder import ALL
from iebench.evaluation.results import ScoreKey
from iebench.report.contenders import Contender
from iebench.report.tables import VAL, metric_at, row_of
from methods import Comparison, run_script
from methods_data import split_validation
from methods_table import contenders_by_recipe, table_text
from shards.files import write_text
from shards.schema import open_dataset
from time_limit import MORE_TO_DO, TimeLimit

COLUMNS: dict[str, ScoreKey] = {
    "rotation R², whole": ScoreKey("rotation", ALL, "r2"),
    "rotation R², equivariant part": ScoreKey("rotation", "equivariant", "r2"),
    "R² per component, whole": ScoreKey("rotation", ALL, "r2_per_component"),
    "top-1": ScoreKey("classification", ALL, "top1"),
    "MRR": ScoreKey("retrieval", VAL, "mrr"),
}
"""What is listed; those that a method has."""
DRAWN = ("rotation R², whole", "rotation R², equivariant part", "top-1")


def main() -> None:
    """Trains and evaluates for every number of image views, and draws what came of it."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    tuning, test = split_validation(options.data, options.out / "data")
    found: dict[int, Contender] = {}
    limit = TimeLimit(options.minutes)
    with limit.running():
        for views in sorted(set(options.image_views)):
            one = Namespace(**{**vars(options), "out": options.out / f"views{views}", "image_views": views})
            comparison = Comparison(one, open_dataset(options.data), tuning, test, limit)
            folders = [comparison.measure(options.recipe, seed, {}) for seed in range(options.seeds)]
            found[views] = contenders_by_recipe({options.recipe: folders})[options.recipe]
            write_curve(options.out, options.recipe, found)
    print((options.out / "curve.md").read_text(encoding="utf-8"))


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train one recipe for several numbers of image views.")
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of the dataset")
    add("--out", type=Path, required=True, help="gets a folder for each number, curve.svg and curve.md")
    add("--recipe", default="sie", help="(%(default)s)")
    add("--image-views", type=int, nargs="+", default=[60_000, 600_000, 6_000_000], help="(%(default)s)")
    add("--seeds", type=int, default=3, help="how many, from 0 on (%(default)s)")
    add("--minutes", type=float, help=f"stop after so long, with exit code {MORE_TO_DO}")
    add("--threads", type=int, default=2, help="of PyTorch (%(default)s)")
    add("--device", default="auto", help="auto, cpu or cuda (%(default)s)")
    add("--set", action="append", default=[], metavar="FIELD=VALUE", help="of the recipe")
    return parser.parse_args()


def write_curve(out: Path, recipe: str, found: dict[int, Contender]) -> None:
    """Writes the table and the plot of what is done so far: the runs by the number of image views."""
    shown = {name: key for name, key in COLUMNS.items() if any(item.summary(key) for item in found.values())}
    numbers = {
        views: [row_of(metric_at(key), [contender]) for key in shown.values()]
        for views, contender in found.items()
    }
    rows = [
        (f"{views:,}", [f"{row.cells[0].text} {row.cells[0].interval}".strip() for row in one])
        for views, one in numbers.items()
    ]
    rows.append(("chance", [row.chance for row in next(iter(numbers.values()))]))
    write_text(out / "curve.md", table_text(f"image views, `{recipe}`", list(shown), rows) + "\n")
    write_text(out / "curve.svg", drawn(recipe, found))


def drawn(recipe: str, found: dict[int, Contender]) -> str:
    """The curves with their intervals as SVG; a dotted line is the chance level."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for number, name in enumerate(DRAWN):
        known = {views: summary for views, item in found.items() if (summary := item.summary(COLUMNS[name]))}
        if not known:
            continue
        means = np.array([item.mean for item in known.values()])
        low = np.array([item.mean if item.low is None else item.low for item in known.values()])
        high = np.array([item.mean if item.high is None else item.high for item in known.values()])
        errors, color = (means - low, high - means), f"C{number}"
        axes.errorbar(list(known), means, errors, marker="o", capsize=3, label=name, color=color)
        level = next(iter(known.values())).chance
        if level is not None:
            axes.axhline(level, linestyle=":", linewidth=1, color=color)
    axes.set_xscale("log")
    axes.set_xlabel(f"image views that the training of {recipe} saw")
    axes.legend(frameon=False)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


if __name__ == "__main__":
    run_script(main)
