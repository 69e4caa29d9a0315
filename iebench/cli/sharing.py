"""Commands about datasets elsewhere: on the Hugging Face Hub, and in the cache."""

from pathlib import Path

import click

from iebench.cli.location import FOLDER
from iebench.cli.progress import stoppable_bar
from shards.errors import UsageError
from shards.eviction import cache_limit, clear, mirrors
from shards.origin import cache_root
from shards.printable import printable


@click.command(epilog="Example: iebench push data/views hf://me/views")
@click.argument("dataset", metavar="FOLDER", type=FOLDER)
@click.argument("address", metavar="hf://USER/NAME")
@click.option("--private", is_flag=True, help="Make a new repository private.")
def push(dataset: Path, address: str, private: bool) -> None:
    """Upload a dataset to the Hugging Face Hub.

    The same command again sends only what is not there yet. Add a line `license:` to the card first.
    """
    from shards.push import push_dataset

    total = sum(path.stat().st_size for path in dataset.glob("*.tar"))
    with stoppable_bar("push", total, unit="B", unit_scale=True) as bar:
        files = push_dataset(dataset, address, private, bar.update)
    click.echo(f"{address}: {files} files uploaded" if files else f"{address}: everything was there")


@click.command(epilog="Example: iebench cache --clear https://data.example.org/3diebench")
@click.option("--clear", "address", metavar="ADDRESS", help="Remove this dataset; `all` removes all.")
def cache(address: str | None) -> None:
    """Show the datasets in the cache, or remove some.

    Deleted shards are downloaded again when they are read. IEBENCH_CACHE_SIZE limits the cache, as does --cache-size
    of the commands that read a dataset.
    """
    found = mirrors()
    if address is None:
        for mirror in found:
            click.echo(f"{mirror.size / 1e9:>9.3f} GB  {mirror.files:>6,} files  {printable(mirror.address)}")
        limit = cache_limit()
        known = "no limit" if limit is None else f"at most {limit / 1e9:.3f} GB"
        click.echo(f"{sum(mirror.size for mirror in found) / 1e9:>9.3f} GB in {cache_root()} ({known})")
        return
    chosen = [mirror for mirror in found if address in ("all", mirror.address)]
    if not chosen and address != "all":
        raise UsageError(f"the cache holds no dataset from {address}; `iebench cache` lists them")
    for mirror in chosen:
        clear(mirror)
    click.echo(f"{len(chosen)} datasets removed, {sum(mirror.size for mirror in chosen) / 1e9:.3f} GB")
