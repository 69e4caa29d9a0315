"""Progress bars on stderr."""

import sys
from typing import TYPE_CHECKING

import click
from tqdm import tqdm

from shards.printable import printable

if TYPE_CHECKING:
    from shards.shard_plan import NamedObject


class ViewBar:
    """Shows images/s, the time left, and what failed.

    Args:
        verb: Verb for the work on the views.
    """

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
        tqdm.write(printable(f"failed: {item.synset}/{item.object_id}: {reason}"), file=sys.stderr)

    def close(self) -> None:
        """Closes the bar and leaves it on the screen."""
        if self._bar is not None:
            self._bar.close()
