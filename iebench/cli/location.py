"""Datasets on the command line: a folder, or an address."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from shards.eviction import SIZE_VARIABLE, parse_size


class DatasetLocation(click.Path):
    """The folder of a dataset; an http, https, s3 or hf address becomes the folder of its mirror."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Fetches the index of an address; what completes a command line fetches nothing."""
        if isinstance(value, str) and not (context and context.resilient_parsing):
            from shards.mirror import dataset_folder

            value = dataset_folder(value)
        return super().convert(value, parameter, context)


def _limit_cache(_context: click.Context, _option: click.Parameter, text: str | None) -> None:
    """Sets the limit for this process and those that it starts."""
    if text is not None:
        parse_size(text)
        os.environ[SIZE_VARIABLE] = text


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_CACHE_SIZE: Decorator = click.option(
    "--cache-size",
    metavar="SIZE",
    expose_value=False,
    is_eager=True,
    callback=_limit_cache,
    help="For an address: the cache's limit, as 20GB; what was read longest ago goes.",
)


def takes_dataset(parameter: Decorator) -> Decorator:
    """Gives a command its dataset, and what goes with one that stands at an address.

    Args:
        parameter: The argument or option whose type is ``DatasetLocation``.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        return parameter(_CACHE_SIZE(command))

    return decorate
