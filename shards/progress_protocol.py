"""How the making of a dataset tells of itself."""

from typing import Protocol

from shards.shard_plan import Named


class Progress(Protocol):
    """Told how it goes; the CLI draws a bar."""

    def start(self, total: int, done: int) -> None:
        """``total`` views in all, of which ``done`` are there already."""

    def note(self, sentence: str) -> None:
        """Something that is worth knowing before it begins."""

    def advance(self, views: int) -> None:
        """So many more views are there."""

    def failed(self, item: Named, reason: str) -> None:
        """An object cannot be had."""
