"""Datasets on the command line: a folder, or an address."""

from pathlib import Path
from typing import Any

import click


class DatasetLocation(click.Path):
    """The folder of a dataset; an http, https or s3 address becomes the folder of its mirror."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """Fetches the index of an address; what completes a command line fetches nothing."""
        if isinstance(value, str) and not (context and context.resilient_parsing):
            from shards.mirror import dataset_folder

            value = dataset_folder(value)
        return super().convert(value, parameter, context)
