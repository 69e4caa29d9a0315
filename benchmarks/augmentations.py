"""EquiMod and steerable representations on pictures whose augmentations are recorded, on one budget.

SimCLR and BYOL, each alone and with EquiMod, and steerable representations, several seeds each, on class folders, CIFAR or one
view of each object of a dataset::

    python benchmarks/augmentations.py --from-views data/views --out runs/augmentations
    python benchmarks/augmentations.py --data data/cifar10 --out runs/augmentations

What is trained and evaluated already is not done again, so a run that was stopped goes on with the same command.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from iebench.cli.evaluating import evaluate_networks
from iebench.cli.packing import pack_with_bar
from iebench.evaluation.results import ScoreKey
from iebench.evaluation.steering import MOST_VIEWS
from iebench.recipes.recipe import load_recipe
from iebench.report.contenders import Contender
from iebench.training.loop import train
from iebench.training.run import Run
from methods_table import compare, contenders_by_recipe, number_text, put_section, summary, table_text
from shards.pictures.picture_plan import make_picture_plan, open_pictures
from shards.schema import DatasetIndex, open_dataset

RESULTS = Path(__file__).parent / "RESULTS.md"
BEGIN, END = "<!-- augmentations: begin -->", "<!-- augmentations: end -->"
RECIPES = ("simclr", "equimod_simclr", "byol", "equimod_byol", "steerable")
BASES = [("equimod_simclr", "simclr"), ("equimod_byol", "byol")]
"""Recipes with EquiMod, each with the one without."""
GROUPS = ("all", "crop", "flip", "color_jitter", "grayscale", "blur", "solarize")
PUBLISHED = (
    "Published on CIFAR-10 (ResNet-18, 800 epochs, linear evaluation; EquiMod's own code): SimCLR 90.96 %, with EquiMod "
    "92.79 %; BYOL 90.44 %, with EquiMod 91.57 %. Of steerable representations only the abstract could be read: test-time "
    "augmentation nearly 50 times as fast, better detection on ImageNet-C, up to 3.4 % more accuracy there."
)

Column = tuple[str, ScoreKey]
"""Heading of a column and the score that it shows."""

ACCURACY: list[Column] = [
    ("linear top-1", ScoreKey("classification", "all", "top1")),
    ("20 neighbors", ScoreKey("classification_knn", "all", "top1")),
    ("on corrupted", ScoreKey("tta_corruption", "all", "top1_single")),
]
STEERING: list[Column] = [
    ("one encoding", ScoreKey("tta", "all", "top1_single")),
    ("8 encodings", ScoreKey("tta", "8", "top1_images")),
    ("8 steps", ScoreKey("tta", "8", "top1_steered")),
    ("64 encodings", ScoreKey("tta", str(MOST_VIEWS), "top1_images")),
    ("64 steps", ScoreKey("tta", str(MOST_VIEWS), "top1_steered")),
    ("corrupted, 8 encodings", ScoreKey("tta_corruption", "all", "top1_images")),
    ("corrupted, 8 steps", ScoreKey("tta_corruption", "all", "top1_steered")),
]
DETECTION: list[Column] = [
    ("AUC, one encoding", ScoreKey("tta_detection", "all", "auc_single")),
    ("AUC, 8 encodings", ScoreKey("tta_detection", "all", "auc_images")),
    ("AUC, 8 steps", ScoreKey("tta_detection", "all", "auc_steered")),
    ("64 encodings", ScoreKey("tta", str(MOST_VIEWS), "seconds_images")),
    ("1 encoding and 64 steps", ScoreKey("tta", str(MOST_VIEWS), "seconds_steered")),
]


def main() -> None:
    """Trains, evaluates and writes a section of RESULTS.md."""
    options = parse_options()
    torch.set_num_threads(options.threads)
    data = options.data or options.out / "pictures"
    if options.from_views:
        plan = make_picture_plan(open_pictures(options.from_views, from_views=True))
        pack_with_bar(plan, data, workers=2)
    index, folders = open_dataset(data), {}
    for seed in range(options.seeds):
        for name in options.recipes:
            start = time.perf_counter()
            run = Run(options.out / f"{name}-seed{seed}")
            recipe = load_recipe(f"{name}_{options.size}", [f"training.seed={seed}", *options.set])
            train(recipe, data, run.folder, resume=run.config_path.is_file())
            evaluate_networks([str(run.folder)], data, existing="replace", suites=["standard", "steering"])
            folders.setdefault(name, []).append(run.folder)
            print(f"   {name}, seed {seed}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    text = section(contenders_by_recipe(folders), index, options)
    put_section(options.results, text, BEGIN, END)
    print(text)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="EquiMod and steerable representations on augmentations.")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data", type=Path, help="folder of a dataset of pictures")
    source.add_argument("--from-views", type=Path, help="folder of a dataset of views; one of each object")
    parser.add_argument("--out", type=Path, required=True, help="gets a run folder per recipe and seed")
    parser.add_argument("--size", default="small", help="of the recipes: small or cifar10 (%(default)s)")
    parser.add_argument("--recipes", nargs="*", default=RECIPES, metavar="RECIPE", help="without the size")
    parser.add_argument("--seeds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch (%(default)s)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="Markdown file that gets the tables")
    parser.add_argument("--set", action="append", default=[], metavar="FIELD=VALUE", help="of every recipe")
    return parser.parse_args()


def section(contenders: dict[str, Contender], index: DatasetIndex, options: argparse.Namespace) -> str:
    """The Markdown of the comparison."""
    recipe = load_recipe(f"{options.recipes[0]}_{options.size}", options.set)
    steps: list[Column] = [
        (f"{group}: {kind}", ScoreKey("augmentation_steps", group, f"equimod_{kind}"))
        for group in GROUPS
        for kind in ("absolute", "relative")
    ]
    splits = {name: split.objects for name, split in index.splits.items()}
    seeds = f"{options.seeds} seed{'s' * (options.seeds > 1)}"
    gains = compare("top-1", contenders, BASES)
    parts = [
        f"""## Learning from recorded augmentations
{splits["train"]:,} training pictures of {len(index.classes)} classes, {splits["val"]:,} others; {index.image_size} px, \
{recipe.backbone.name}, {recipe.training.epochs} epochs, batches of {recipe.training.batch_size}, {seeds}. In brackets \
95 % intervals over objects and seeds.""",
        table(contenders, ACCURACY),
        summary("EquiMod adds to linear top-1", gains) if gains else "",
        "One encoding that is steered beside many encodings (accuracy of a linear classifier; docs/evaluation.md):",
        table(contenders, STEERING),
        "Telling corrupted pictures from clean ones, and the time of a picture:",
        table(contenders, DETECTION),
        "EquiMod's measures of the predictor (absolute: 0 is what invariance scores; relative: 1 is), by the "
        "augmentation that alone is applied:",
        transposed(contenders, steps),
        speed_up(contenders),
        PUBLISHED,
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def table(contenders: dict[str, Contender], columns: Sequence[Column]) -> str:
    """Recipes as rows."""
    rows = (
        (f"`{name}`", [number_text(item, key) for _, key in columns]) for name, item in contenders.items()
    )
    return table_text("", [heading for heading, _ in columns], rows)


def transposed(contenders: dict[str, Contender], rows: Sequence[Column]) -> str:
    """Recipes with a predictor as columns."""
    known = {name: item for name, item in contenders.items() if item.summary(rows[0][1]) is not None}
    found = [(heading, [number_text(item, key) for item in known.values()]) for heading, key in rows]
    shown = [(heading, cells) for heading, cells in found if set(cells) != {"–"}]
    return table_text("", [f"`{name}`" for name in known], shown)


def speed_up(contenders: dict[str, Contender]) -> str:
    """How many times faster one encoding and its steps are than as many encodings."""
    found = []
    for name, contender in contenders.items():
        images, steered = (
            contender.summary(ScoreKey("tta", str(MOST_VIEWS), f"seconds_{kind}"))
            for kind in ("images", "steered")
        )
        if images is not None and steered is not None:
            found.append(f"`{name}` {images.mean / steered.mean:.0f} times")
    if not found:
        return ""
    return f"{MOST_VIEWS} steps of one encoding against {MOST_VIEWS} encodings: {', '.join(found)}."


if __name__ == "__main__":
    main()
