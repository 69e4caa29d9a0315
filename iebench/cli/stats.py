"""Commands that count the contents of a dataset and answer questions about its views."""

import json
import sys
from pathlib import Path

import click
from tqdm import tqdm

from iebench.cli.data import DATASET_ARGUMENT, WORKERS_OPTION
from iebench.cli.exit_codes import terminate_as_interrupt
from shards.printable import printable


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
    total = sum(split.views for split in index.splits.values())
    with (
        tqdm(total=total, desc="stats", unit="img", file=sys.stderr, dynamic_ncols=True) as bar,
        terminate_as_interrupt(),
    ):
        statistics = dataset_statistics(dataset, index, workers or available_cores(), bar.update)
    document = json.dumps(statistics.model_dump(mode="json"), indent=1)  # ASCII: a terminal obeys none of it
    click.echo(document if as_json else statistics.text())


@click.command(epilog="Example: iebench query data/views \"synset = '02691156' and rotation_z > 1\"")
@DATASET_ARGUMENT
@click.argument("question", metavar="QUERY")
@click.option(
    "--limit",
    default=20,
    show_default=True,
    type=click.IntRange(0),
    help="Rows that are printed; 0 for all.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write all rows to a .csv, .jsonl or .parquet instead.",
)
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
