"""Progress bars on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from iebench.cli.exit_codes import terminate_as_interrupt
from shards.printable import printable

if TYPE_CHECKING:
    from shards.shard_plan import NamedObject


@contextmanager
def stoppable_bar(
    verb: str, total: int | None = None, unit: str = "img", unit_scale: bool = False
) -> Iterator[tqdm]:
    """Shows a bar for work that SIGTERM stops as Ctrl-C does."""
    bar = tqdm(total=total, desc=verb, unit=unit, unit_scale=unit_scale, file=sys.stderr, dynamic_ncols=True)
    with bar, terminate_as_interrupt():
        yield bar


class ViewBar:
    """Shows images/s, the time left, and what failed."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._bar: tqdm | None = None

    def start(self, total: int, done: int) -> None:
        """Draws the bar."""
        if done:
            click.echo(f"{done:,} of {total:,} views are there already", err=True)
        self._bar = tqdm(
            total=total, initial=done, unit="img", desc=self._verb, file=sys.stderr, dynamic_ncols=True
        )

    def note(self, sentence: str) -> None:
        """Prints a sentence above the bar."""
        tqdm.write(printable(sentence), file=sys.stderr)

    def advance(self, views: int) -> None:
        """Advances the bar by a number of views."""
        if self._bar is not None:
            self._bar.update(views)

    def failed(self, item: "NamedObject", reason: str) -> None:
        """Prints above the bar which object failed and why."""
        self.note(f"failed: {item.synset}/{item.object_id}: {reason}")

    def close(self) -> None:
        """Closes the bar and leaves it on the screen."""
        if self._bar is not None:
            self._bar.close()
