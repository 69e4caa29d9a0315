"""The command that counts."""

import json
import sys
from pathlib import Path

import click
from tqdm import tqdm

from iebench.cli.data import DATASET_ARGUMENT
from iebench.cli.errors import terminate_as_interrupt


@click.command(epilog="Example: iebench stats data/views --json")
@DATASET_ARGUMENT
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of tables.")
@click.option("--jobs", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
def stats(dataset: Path, as_json: bool, jobs: int) -> None:
    """Count classes, splits and bytes, and draw histograms of the latents."""
    from shards.schema import open_dataset
    from shards.statistics import dataset_statistics

    index = open_dataset(dataset)
    total = sum(split.views for split in index.splits.values())
    with (
        tqdm(total=total, desc="stats", unit="img", file=sys.stderr, dynamic_ncols=True) as bar,
        terminate_as_interrupt(),
    ):
        statistics = dataset_statistics(dataset, index, jobs, bar.update)
    document = json.dumps(statistics.model_dump(mode="json"), indent=1)  # ASCII: a terminal obeys none of it
    click.echo(document if as_json else statistics.text())
