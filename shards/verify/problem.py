"""What is wrong, and where."""

from typing import NamedTuple

from shards.printable import printable


class Problem(NamedTuple):
    """Something that breaks the contract: in which shard, at which sample (empty: the shard itself)."""

    shard: str
    sample: str
    message: str

    def __str__(self) -> str:
        place = f"{self.shard}, sample {self.sample}" if self.sample else self.shard
        return printable(f"{place}: {self.message}")
