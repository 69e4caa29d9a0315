"""Commands that make and check data."""

import sys
from contextlib import closing
from pathlib import Path

import click
from tqdm import tqdm

from iebench.cli.exit_codes import FriendlyGroup, terminate_as_interrupt
from iebench.cli.location import FOLDER, DatasetLocation, takes_dataset
from shards.errors import IebenchError, UsageError
from shards.origin import origin_of

# The commands import what they need when they run: PyTorch takes seconds to load.
MODELS_ARGUMENT = click.argument("models_folder", metavar="MODELS", type=FOLDER)
WORKERS_OPTION = click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of processes; each works on one shard at a time.  [default: cores]",
)
DATASET_ARGUMENT = takes_dataset(click.argument("dataset", metavar="DATASET", type=DatasetLocation()))


@click.group(cls=FriendlyGroup)
def models() -> None:
    """Make procedural 3D models, or check a folder of models."""


@models.command(
    "make", epilog="Example: iebench models make data/models --classes chair,mug --objects-per-class 20"
)
@click.argument("out", type=FOLDER)
@click.option("--classes", default="all", show_default=True, help="Names or synset ids, separated by commas.")
@click.option("--objects-per-class", default=20, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--workers", type=click.IntRange(1), help="Number of processes.  [default: cores]")
def models_make(out: Path, classes: str, objects_per_class: int, seed: int, workers: int | None) -> None:
    """Make procedural 3D models in the layout of ShapeNetCore v2."""
    from shards.child_processes import available_cores

    chosen = None if classes == "all" else [name.strip() for name in classes.split(",") if name.strip()]
    made = make_models_with_bar(out, chosen, objects_per_class, seed, workers or available_cores())
    click.echo(f"{made:,} models in {out}")


def make_models_with_bar(
    out: Path, classes: list[str] | None, objects_per_class: int, seed: int, workers: int
) -> int:
    """Makes procedural models in several processes under a progress bar, and returns their number."""
    from render.procedural import make_models

    with tqdm(desc="models", unit="obj", file=sys.stderr) as bar:

        def progress(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        return len(make_models(out, classes, objects_per_class, seed, progress, workers))


@models.command("check", epilog="Example: iebench models check data/ShapeNetCore.v2")
@MODELS_ARGUMENT
@click.option("--workers", type=click.IntRange(1), help="Number of processes.  [default: cores]")
def models_check(models_folder: Path, workers: int | None) -> None:
    """Count models by class, and name those that cannot be rendered.

    The reason stands beside each. Blender imports each model and renders a tiny view, as `iebench render` does, so both find the same errors.
    """
    from render.catalog import scan_models
    from render.check import check_models
    from shards.child_processes import available_cores

    objects = scan_models(models_folder)
    with tqdm(total=len(objects), desc="check", unit="obj") as bar:
        report = check_models(objects, workers or available_cores(), lambda: bar.update(1))
    click.echo(report.text())
    if not report.usable:
        raise IebenchError(f"none of the {len(objects)} objects in {models_folder} can be used")


@click.command(epilog="Example: iebench show data/views --out sheet.png")
@DATASET_ARGUMENT
@click.option(
    "--out", default="sheet.png", show_default=True, type=click.Path(path_type=Path, dir_okay=False)
)
@click.option("--split", help="Split to show, train or val; without it, both.")
@click.option(
    "--rows",
    default=12,
    show_default=True,
    type=click.IntRange(1),
    help="Number of classes, one object each.",
)
@click.option(
    "--columns", default=8, show_default=True, type=click.IntRange(1), help="Number of views of each object."
)
def show(dataset: Path, out: Path, split: str | None, rows: int, columns: int) -> None:
    """Draw a contact sheet of a dataset: views with their latents."""
    from shards.schema import open_dataset
    from shards.sheet import contact_sheet, pick_views

    index = open_dataset(dataset)
    if split is not None:
        index.split(split)
    out.parent.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(pick_views(dataset, index, rows, columns, split), index.latents)
    try:
        sheet.save(out)
    except ValueError:
        raise UsageError(f"{out} names no image format that can be written; call it .png or .jpg") from None
    click.echo(
        f"{out}: a row per class; under each view rotation x y z, floor and light hue, light theta/phi"
    )


@click.command(epilog="Example: iebench verify data/views --workers 4")
@DATASET_ARGUMENT
@WORKERS_OPTION
def verify(dataset: Path, workers: int | None) -> None:
    """Check every byte, checksum and sample of a dataset."""
    from render.plan import must_be_rendered_again
    from shards.child_processes import available_cores
    from shards.schema import INDEX_NAME, parse_index
    from shards.table import TABLE_NAME
    from shards.verify import verify_dataset

    index = parse_index(dataset / INDEX_NAME)
    if must_be_rendered_again(index):
        click.echo(
            "Note: an earlier renderer made these views. If the models are ShapeNet's, they show black triangles: "
            "render them again into a new folder.",
            err=True,
        )
    total = sum(split.views for split in index.splits.values())
    found: set[str] = set()
    count = 0
    with (
        terminate_as_interrupt(),
        tqdm(total=total, desc="verify", unit="img") as bar,
        closing(verify_dataset(dataset, index, bar.update, workers or available_cores())) as problems,
    ):
        for problem in problems:
            found.add(problem.shard)
            count += 1
            with bar.external_write_mode():
                click.echo(str(problem))
    if count:
        remedies = {
            "run the command that made the dataset again with --repair: it makes just the objects anew that are damaged": found
            - {TABLE_NAME},
            f"run `iebench index` to make {TABLE_NAME} anew": found & {TABLE_NAME},
        }
        raise IebenchError(
            f"{origin_of(dataset) or dataset} has {count:,} problem{'s' if count > 1 else ''}; "
            + "; then ".join(remedy for remedy, named in remedies.items() if named)
        )
    click.echo(
        f"{origin_of(dataset) or dataset}: {total:,} views, all as the index and the dataset format say"
    )


@click.command(epilog="Example: iebench index data/views")
@click.argument("dataset", metavar="FOLDER", type=FOLDER)
@WORKERS_OPTION
def index(dataset: Path, workers: int | None) -> None:
    """Make latents.parquet, the table of all views, anew.

    For a dataset that has none, or a broken one. `iebench render` and `iebench pack` make it by themselves. Images are
    not read, and shards are not changed.
    """
    from shards.child_processes import available_cores
    from shards.indexing import index_dataset
    from shards.table import TABLE_NAME

    with (
        terminate_as_interrupt(),
        tqdm(desc="index", unit="img", file=sys.stderr, dynamic_ncols=True) as bar,
    ):
        made = index_dataset(dataset, workers or available_cores(), bar.update)
    views = sum(split.views for split in made.splits.values())
    click.echo(f"{dataset / TABLE_NAME}: {views:,} views")
