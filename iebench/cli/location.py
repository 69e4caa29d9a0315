"""Kinds of paths that commands take: files, folders, and datasets by their folder or address."""

import os
from pathlib import Path
from typing import Any

import click

from iebench.cli.options import Decorator
from shards.eviction import SIZE_VARIABLE, parse_size

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


class DatasetLocation(click.Path):
    """A parameter that is the folder of a dataset; an http, https, s3 or hf address becomes its mirror's folder."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Fetches the index of an address, except while a shell completes a command line."""
        if isinstance(value, str) and not (context and context.resilient_parsing):
            from shards.mirror import dataset_folder

            value = dataset_folder(value)
        return super().convert(value, parameter, context)


def _limit_cache(_context: click.Context, _option: click.Parameter, text: str | None) -> None:
    """Sets the size limit of the cache for this process and those that it starts."""
    if text is not None:
        parse_size(text)
        os.environ[SIZE_VARIABLE] = text


_CACHE_SIZE: Decorator = click.option(
    "--cache-size",
    metavar="SIZE",
    expose_value=False,
    is_eager=True,
    callback=_limit_cache,
    help="Limit of the cache, as 20GB; shards read longest ago are removed.",
)


def takes_dataset(parameter: Decorator) -> Decorator:
    """Gives a command its dataset, a parameter of the type ``DatasetLocation``, and the options for addresses."""
    return lambda command: parameter(_CACHE_SIZE(command))
