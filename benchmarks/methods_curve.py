"""What more image views buy one recipe: rotation R² and top-1 over the views that a training saw.

    python benchmarks/methods_curve.py --data runs/methods/views --out runs/curve --device cuda --minutes 9

Each number of views is a training of its own, with the values of the recipe `demo` and its schedule over all of it.
OUT gets ``curve.svg`` and ``curve.md`` of what is done. Like ``methods.py`` it goes on where it was stopped, and exits
with 75 as long as something is left to do.
"""

import argparse
import io
import signal
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from iebench.backbones.encoder import ALL
from iebench.evaluation.results import ScoreKey
from iebench.report.contenders import Contender
from iebench.report.tables import VAL, interval_text, metric_at
from methods import Comparison, run_script
from methods_data import split_validation
from methods_table import contenders_by_recipe
from shards.files import write_text
from shards.schema import open_dataset
from time_limit import MORE_TO_DO, TimeIsUp, TimeLimit

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
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tuning, test = split_validation(options.data, options.out / "data")
    found: dict[int, Contender] = {}
    limit = TimeLimit(options.minutes)
    try:
        with limit.running():
            for views in sorted(set(options.image_views)):
                one = Namespace(
                    out=options.out / f"views{views}",
                    image_views=views,
                    set=options.set,
                    device=options.device,
                )
                comparison = Comparison(one, open_dataset(options.data), tuning, test, limit)
                folders = [comparison.measure(options.recipe, seed, {}) for seed in range(options.seeds)]
                found |= {views: contenders_by_recipe({options.recipe: folders})[options.recipe]}
                write_curve(options.out, options.recipe, found)
    except TimeIsUp:
        print(f"{options.minutes:g} minutes are over; the same command goes on", file=sys.stderr)
        sys.exit(MORE_TO_DO)
    print((options.out / "curve.md").read_text(encoding="utf-8"))


def parse_options() -> argparse.Namespace:
    """The command line."""
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
    """Writes the table and the plot of what is done so far.

    Args:
        out: Folder that gets them.
        recipe: Name of the recipe.
        found: The runs by the number of image views.
    """
    shown = [name for name, path in COLUMNS.items() if any(item.summary(path) for item in found.values())]
    lines = [f"| image views, `{recipe}` | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    for views, contender in found.items():
        cells = [cell(contender, COLUMNS[name]) for name in shown]
        lines.append(f"| {views:,} | " + " | ".join(cells) + " |")
    chances = [chance(next(iter(found.values())), COLUMNS[name]) for name in shown]
    lines.append("| chance | " + " | ".join(chances) + " |")
    write_text(out / "curve.md", "\n".join(lines) + "\n")
    write_text(out / "curve.svg", drawn(recipe, found))


def cell(contender: Contender, key: ScoreKey) -> str:
    """One number with its interval."""
    metric, summary = metric_at(key), contender.summary(key)
    return f"{metric.show(summary.mean)} {interval_text(metric, summary)}".strip() if summary else "–"


def chance(contender: Contender, key: ScoreKey) -> str:
    """The chance level of one number."""
    metric, summary = metric_at(key), contender.summary(key)
    return "" if summary is None or summary.chance is None else metric.show(summary.chance)


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
        axes.errorbar(
            list(known),
            means,
            (means - low, high - means),
            marker="o",
            capsize=3,
            label=name,
            color=f"C{number}",
        )
        level = next(iter(known.values())).chance
        if level is not None:
            axes.axhline(level, linestyle=":", linewidth=1, color=f"C{number}")
    axes.set_xscale("log")
    axes.set_xlabel(f"image views that the training of {recipe} saw")
    axes.legend(frameon=False)
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


if __name__ == "__main__":
    run_script(main)
