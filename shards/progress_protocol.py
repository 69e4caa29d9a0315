"""Defines the interface through which rendering and packing report their progress."""

from typing import Protocol

from shards.shard_plan import NamedObject


class Progress(Protocol):
    """A receiver of progress, such as the progress bar of the command line."""

    def start(self, total: int, done: int) -> None:
        """Receives the number of views in total, and of those that are already done."""

    def note(self, sentence: str) -> None:
        """Receives a sentence that the user should read before the work begins."""

    def advance(self, views: int) -> None:
        """Receives the number of views that were finished since the last call."""

    def failed(self, item: NamedObject, reason: str) -> None:
        """Receives an object that failed, with the reason."""
