"""Defines the problems that a check of a dataset reports."""

from typing import NamedTuple

from shards.printable import printable


class Problem(NamedTuple):
    """A place in a dataset that breaks the dataset format.

    Attributes:
        shard: Name of the shard or of another file.
        sample: Key of the sample; empty if the problem is in the file as a whole.
        message: What is wrong.
    """

    shard: str
    sample: str
    message: str

    def __str__(self) -> str:
        where = f"{self.shard}, sample {self.sample}" if self.sample else self.shard
        return printable(f"{where}: {self.message}")
