"""Commands that train and evaluate."""

from pathlib import Path

import click

from iebench.cli.location import DatasetLocation
from iebench.training.launch import read_launch, said_once_per_node
from shards.origin import origin_of

FOLDER = click.Path(path_type=Path, file_okay=False)
DATA_OPTION = click.option(
    "--data",
    required=True,
    metavar="DATASET",
    type=DatasetLocation(),
    help="Folder of the dataset, or its http, https or s3 address.",
)
DEVICE_OPTION = click.option(
    "--device", default="auto", show_default=True, type=click.Choice(["auto", "cpu", "cuda"])
)

SET_OPTION = click.option(
    "--set", "overrides", multiple=True, metavar="FIELD=VALUE", help="Override a field of the recipe."
)


@click.command(epilog="Example: iebench train demo --data data/views --out runs/a --set training.epochs=20")
@click.argument("recipe", metavar="RECIPE")
@DATA_OPTION
@click.option("--out", required=True, metavar="RUN", type=FOLDER, help="Folder of the run.")
@SET_OPTION
@click.option("--resume", is_flag=True, help="Go on from the run's last checkpoint.")
@DEVICE_OPTION
def train(recipe: str, data: Path, out: Path, overrides: tuple[str, ...], resume: bool, device: str) -> None:
    """Train a recipe on a dataset.

    RECIPE is the name of a recipe in the package (`iebench recipes` lists them) or a TOML file. Ctrl-C saves
    the state; --resume goes on from it.
    """
    from iebench.recipes.recipe import load_recipe
    from iebench.training.loop import train as run_training

    with said_once_per_node():
        loaded = load_recipe(recipe, overrides)
    run_training(loaded, data, out, device, resume)
    if read_launch().rank == 0:
        click.echo(f"{out}: trained; now `iebench eval {out} --data {origin_of(data) or data}`")


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
    """Print a whole recipe, with all that it extends, as TOML that is a recipe itself."""
    from iebench.recipes.as_toml import recipe_as_toml
    from iebench.recipes.recipe import load_recipe

    click.echo(recipe_as_toml(load_recipe(recipe, overrides)), nl=False)


@click.command("eval", epilog="Example: iebench eval runs/a --data data/views")
@click.argument("run", metavar="RUN", type=FOLDER)
@DATA_OPTION
@DEVICE_OPTION
def evaluate(run: Path, data: Path, device: str) -> None:
    """Evaluate a run next to its untrained network, on validation objects."""
    from iebench.evaluation.evaluate import evaluate as run_evaluation
    from iebench.report.tables import comparison, text_table
    from iebench.training.run import Run

    result = run_evaluation(Run(run), data, device)
    if read_launch().rank == 0:
        click.echo(text_table(comparison({"trained": result["networks"]["trained"]}, result)))


@click.command(epilog="Example: iebench report runs/a runs/b --out report.html")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=FOLDER)
@click.option(
    "--out", default="report.html", show_default=True, type=click.Path(path_type=Path, dir_okay=False)
)
def report(runs: tuple[Path, ...], out: Path) -> None:
    """Write one self-contained page about evaluated runs."""
    from iebench.report.page import write_report
    from iebench.training.run import Run

    write_report([Run(run) for run in runs], out)
    click.echo(f"{out}: open it in a browser")
