"""Commands that make, check, show and query data."""

import json
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from iebench.cli.exit_codes import FriendlyGroup
from iebench.cli.location import FILE, FOLDER, DatasetLocation, takes_dataset
from iebench.cli.progress import stoppable_bar
from shards.errors import IebenchError, UsageError
from shards.origin import origin_of
from shards.printable import printable

# The commands import what they need when they run: PyTorch takes seconds to load.
if TYPE_CHECKING:
    from shards.schema import DatasetIndex

MODELS_ARGUMENT = click.argument("models_folder", metavar="MODELS", type=FOLDER)
WORKERS_OPTION = click.option(
    "--workers",
    type=click.IntRange(1),
    help="Number of processes; each works on one shard at a time.  [default: cores]",
)
DATASET_ARGUMENT = takes_dataset(click.argument("dataset", metavar="DATASET", type=DatasetLocation()))


def splits_in_words(index: "DatasetIndex") -> str:
    """Says how many views, objects and shards each split has."""
    return ", ".join(
        f"{name}: {split.views:,} views of {split.objects:,} objects in {len(split.shards)} shards"
        for name, split in index.splits.items()
    )


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
@click.option("--out", default="sheet.png", show_default=True, type=FILE)
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
    name, total = origin_of(dataset) or dataset, index.views
    damaged: Counter[str] = Counter()
    with (
        stoppable_bar("verify", total) as bar,
        closing(verify_dataset(dataset, index, bar.update, workers or available_cores())) as problems,
    ):
        for problem in problems:
            damaged[problem.shard] += 1
            with bar.external_write_mode():
                click.echo(str(problem))
    if damaged:
        remedies = []
        if damaged.keys() - {TABLE_NAME}:
            remedies.append(
                "run the command that made the dataset again with --repair: it makes just the objects anew that are damaged"
            )
        if TABLE_NAME in damaged:
            remedies.append(f"run `iebench index` to make {TABLE_NAME} anew")
        count = damaged.total()
        raise IebenchError(
            f"{name} has {count:,} problem{'s' if count > 1 else ''}; {'; then '.join(remedies)}"
        )
    click.echo(f"{name}: {total:,} views, all as the index and the dataset format say")


@click.command(epilog="Example: iebench stats data/views --json")
@DATASET_ARGUMENT
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
@WORKERS_OPTION
def stats(dataset: Path, as_json: bool, workers: int | None) -> None:
    """Count classes, splits and bytes, and draw histograms of the latents.

    The workers read shards, which is needed where the dataset has no latents.parquet.
    """
    from shards.child_processes import available_cores
    from shards.schema import open_dataset
    from shards.statistics import dataset_statistics

    index = open_dataset(dataset)
    with stoppable_bar("stats", index.views) as bar:
        statistics = dataset_statistics(dataset, index, workers or available_cores(), bar.update)
    document = json.dumps(statistics.model_dump(mode="json"), indent=1)  # ASCII: a terminal obeys none of it
    click.echo(document if as_json else statistics.text())


@click.command(epilog="Example: iebench query data/views \"synset = '02691156' and rotation_z > 1\"")
@DATASET_ARGUMENT
@click.argument("question", metavar="QUERY")
@click.option(
    "--limit", default=20, show_default=True, type=click.IntRange(0), help="Rows that are printed; 0 for all."
)
@click.option("--out", type=FILE, help="Write all rows to a .csv, .jsonl or .parquet instead.")
def query(dataset: Path, question: str, limit: int, out: Path | None) -> None:
    """Print the views for which a condition on latents holds.

    Or print what one SELECT from the table `views` gives. The columns are those of latents.parquet (docs/format.md):
    key, split, shard, synset, object, view, label, scale, and each latent by its name. DuckDB answers, and can read
    nothing but this table.
    """
    from shards.query import query_dataset, write_rows
    from shards.schema import open_dataset

    rows = query_dataset(dataset, open_dataset(dataset), question)
    if out is not None:
        write_rows(rows, out)
        click.echo(f"{out}: {rows.num_rows:,} rows")
        return
    shown = rows.slice(0, limit) if limit else rows
    click.echo("\t".join(map(printable, rows.column_names)))
    for row in shown.to_pylist():
        cells = ("" if value is None else printable(str(value)) for value in row.values())
        click.echo("\t".join(cells))
    if shown.num_rows < rows.num_rows:
        click.echo(f"{shown.num_rows} of {rows.num_rows:,} rows; --limit 0 prints all", err=True)


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

    with stoppable_bar("index") as bar:
        made = index_dataset(dataset, workers or available_cores(), bar.update)
    click.echo(f"{dataset / TABLE_NAME}: {made.views:,} views")
