"""What is wrong, and where."""

from typing import NamedTuple


class Problem(NamedTuple):
    """Something that breaks the contract: in which shard, at which sample (empty: the shard itself)."""

    shard: str
    sample: str
    message: str

    def __str__(self) -> str:
        place = f"{self.shard}, sample {self.sample}" if self.sample else self.shard
        return _printable(f"{place}: {self.message}")


def _printable(text: str) -> str:
    """Names out of a damaged shard may hold anything; a terminal would obey some of it."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
