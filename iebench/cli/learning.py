"""Commands that train and evaluate."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from iebench.cli.location import FILE, FOLDER, DatasetLocation, takes_dataset
from iebench.training.launch import raise_once_per_node, read_launch
from shards.errors import UsageError
from shards.origin import origin_of

if TYPE_CHECKING:
    from iebench.evaluation.protocol import Suite
    from iebench.evaluation.score_store import Existing

data_option = partial(
    click.option,
    "--data",
    metavar="DATASET",
    type=DatasetLocation(),
    help="Folder of the dataset, or its http, https, s3 or hf address.",
)
DEVICE_OPTION = click.option(
    "--device",
    default="auto",
    show_default=True,
    metavar="auto|cpu|cuda|cuda:N",
    help="auto takes the GPUs if there are any, else the CPU.",
)
SET_OPTION = click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Override a field of the recipe."
)
RUNS_ARGUMENT = click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=FOLDER)


@click.command(epilog="Example: iebench train demo --data data/views --out runs/a --set training.epochs=20")
@click.argument("recipe", metavar="[RECIPE]", required=False)
@takes_dataset(data_option())
@click.option("--out", metavar="RUN", type=FOLDER, help="Folder of the run.")
@SET_OPTION
@click.option(
    "--resume",
    metavar="RUN",
    type=FOLDER,
    is_flag=False,
    flag_value=Path(),
    help="Go on with a run from its last checkpoint; recipe and dataset are the run's.",
)
@click.option(
    "--log",
    "logs",
    multiple=True,
    type=click.Choice(["tensorboard", "wandb"]),
    help="Where curves are drawn; may be given twice. [default: tensorboard]",
)
@DEVICE_OPTION
def train(
    recipe: str | None,
    data: Path | None,
    out: Path | None,
    overrides: tuple[str, ...],
    resume: Path | None,
    logs: tuple[str, ...],
    device: str,
) -> None:
    """Train a recipe on a dataset, or go on with a run.

    RECIPE is the name of a recipe in the package (`iebench recipes` lists them) or a TOML file. Ctrl-C saves
    the state; `iebench train --resume RUN` goes on from it, and --set changes what may change.
    """
    from iebench.recipes.recipe import load_recipe
    from iebench.training.loop import train as run_training
    from iebench.training.run import Run

    if logs:
        overrides = (*overrides, f"training.log={json.dumps(logs)}")
    with raise_once_per_node():
        folder = out if resume in (None, Path()) else resume
        if folder is None or (resume is None and (recipe is None or data is None)):
            raise UsageError(
                "a new run takes RECIPE --data DATASET --out RUN, and one that was begun goes on with --resume RUN"
            )
        if out not in (None, folder):
            raise UsageError(f"--resume goes on in {folder} itself, so --out {out} must be left out")
        loaded = Run(folder).recipe(overrides) if recipe is None else load_recipe(recipe, overrides)
        data = data or Run(folder).data()
    run_training(loaded, data, folder, device, resume is not None)
    if read_launch().rank == 0:
        click.echo(f"{folder}: trained; now `iebench eval {folder} --data {origin_of(data) or data}`")


@click.group(invoke_without_command=True, epilog="Example: iebench recipes show sie")
@click.pass_context
def recipes(context: click.Context) -> None:
    """List the recipes: what each trains, and the paper it is from."""
    if context.invoked_subcommand:
        return
    from iebench.recipes import summaries

    found = summaries()
    width = max(len(item.name) for item in found)
    for item in found:
        click.echo(f"{item.name:<{width}}  {item.what}{f' ({item.paper})' if item.paper else ''}")


@recipes.command(epilog="Example: iebench recipes show sie --set training.epochs=20")
@click.argument("recipe", metavar="RECIPE")
@SET_OPTION
def show(recipe: str, overrides: tuple[str, ...]) -> None:
    """Print a whole recipe, with all that it extends, as TOML.

    What is printed is a recipe itself.
    """
    from iebench.recipes.as_toml import recipe_as_toml
    from iebench.recipes.recipe import load_recipe

    click.echo(recipe_as_toml(load_recipe(recipe, overrides)), nl=False)


@click.command("eval", epilog="Example: iebench eval runs/a runs/b --fit data/views --data data/ood")
@click.argument("what", metavar="WHAT...", nargs=-1, required=True)
@takes_dataset(data_option(required=True))
@click.option(
    "--fit",
    metavar="DATASET",
    type=DatasetLocation(),
    help="Fit probes to the training split of this dataset rather than of --data.",
)
@click.option(
    "--suite",
    "suites",
    type=click.Choice(["standard", "robustness", "steering", "linear"]),
    multiple=True,
    default=["standard"],
    show_default=True,
    help="What is measured; can be given several times. robustness: accuracy on corrupted views. steering: test-time "
    "augmentation in embedding space. linear: a linear layer on the network, which sees new crops each epoch.",
)
@click.option(
    "--ood",
    metavar="DATASET",
    type=DatasetLocation(),
    help="With --suite robustness: a dataset outside the training range, as a further test.",
)
@click.option("--name", help="Name of the evaluation. [default: that of the dataset]")
@click.option(
    "--out", type=FOLDER, help="Folder that gets evaluations/NAME.json. [default: the run, else runs/ENCODER]"
)
@SET_OPTION
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
@click.option("--all", "shows_all", is_flag=True, help="Print every score, not only the most quoted.")
@click.option(
    "--keep-features", "keeps_features", is_flag=True, help="Keep the features in OUT/features/NAME."
)
@click.option(
    "--force",
    is_flag=True,
    help="Measure all anew: replace an evaluation of the same name, or add metrics that a newer iebench has.",
)
@DEVICE_OPTION
def evaluate(
    what: tuple[str, ...],
    data: Path,
    fit: Path | None,
    suites: "tuple[Suite, ...]",
    ood: Path | None,
    name: str | None,
    out: Path | None,
    overrides: tuple[str, ...],
    as_json: bool,
    shows_all: bool,
    keeps_features: bool,
    force: bool,
    device: str,
) -> None:
    """Evaluate encoders on the validation objects of a dataset.

    WHAT is the folder of a run, which is evaluated next to its untrained network, or FILE.safetensors (of `iebench
    export`), torchvision:NAME, timm:NAME, either with @WEIGHTS, published:FILE (a checkpoint of the published code)
    or FILE.py:FUNCTION from uint8 images to vectors. Several are evaluated in one pass.
    An evaluation that was stopped goes on where it was; one that is there is not done again.
    """
    from iebench.cli.evaluating import evaluate_networks, print_results

    existing: Existing = "redo" if force else "keep"
    results = evaluate_networks(
        what, data, fit, name, out, overrides, keeps_features, existing, device, suites, ood
    )
    if read_launch().rank == 0:
        print_results(results, as_json, shows_all)


@click.command(epilog="Example: iebench export runs/a backbone.safetensors")
@click.argument("run", metavar="RUN", type=FOLDER)
@click.argument("out", metavar="FILE", type=FILE)
def export(run: Path, out: Path) -> None:
    """Write a run's backbone for use without iebench (safetensors).

    The names are torchvision's (of a published network, the published ones); the header holds image size,
    normalization, parts, recipe and data.
    """
    from iebench.backbones.export import export_backbone

    export_backbone(run, out)
    click.echo(f"{out}: load it with iebench.load_backbone, or in plain torch as README.md shows")


@click.command(epilog="Example: iebench report runs/a runs/b --out report.html --explorer")
@RUNS_ARGUMENT
@click.option("--out", default="report.html", show_default=True, type=FILE)
@click.option(
    "--models",
    type=FOLDER,
    help="Models of the dataset: the views on the page are rendered anew at 128 px, where its own are smaller.",
)
@click.option(
    "--explorer",
    "explores",
    is_flag=True,
    help="Also write what `iebench explore` does, linked from the page.",
)
def report(runs: tuple[Path, ...], out: Path, models: Path | None, explores: bool) -> None:
    """Write one self-contained page about evaluated runs.

    RUN is the folder of a run, or of another encoder's evaluations.
    """
    from iebench.cli.pages import write_pages

    for page in write_pages(runs, out, models, explores):
        click.echo(f"{page}: open it in a browser")


@click.command(epilog="Example: iebench explore runs/a runs/b --out explorer.html")
@RUNS_ARGUMENT
@click.option("--out", default="explorer.html", show_default=True, type=FILE)
@click.option(
    "--views",
    default=1000,
    show_default=True,
    type=click.IntRange(1),
    help="Largest number of views on the page.",
)
@takes_dataset(
    data_option(help="Dataset whose validation views are shown; by default that of the first run's training.")
)
def explore(runs: tuple[Path, ...], out: Path, views: int, data: Path | None) -> None:
    """Write one page to walk through representations and steer them.

    It holds a map of validation views, the nearest views by each part of the representation, and sliders of a
    rotation by which every run's predictor moves a view. It works offline.
    """
    from iebench.report.explorer import write_explorer

    write_explorer(runs, out, views, data)
    click.echo(f"{out}: open it in a browser")


@click.command(epilog="Example: iebench leaderboard runs/a runs/b --csv > leaderboard.csv")
@RUNS_ARGUMENT
@click.option("--csv", "form", flag_value="csv", help="Print comma-separated values.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--latex", "form", flag_value="latex", help="Print a LaTeX table.")
def leaderboard(runs: tuple[Path, ...], form: str | None) -> None:
    """Set evaluated runs beside the published results on 3DIEBench.

    RUN is the folder of a run, or of another encoder's evaluations. Runs that differ only in their seed are one
    row. An R² stands in the column of its definition; notes say where settings differ.
    """
    from iebench.report import leaderboard_files as files
    from iebench.report.contenders import contenders_of
    from iebench.report.leaderboard import leaderboard as compare
    from iebench.report.subjects import read_subjects

    board = compare(contenders_of(read_subjects(runs)))
    forms = {"csv": files.as_csv, "json": files.as_json, "latex": files.as_latex, None: files.as_text}
    click.echo(forms[form](board))
