"""A share of a dataset, for many machines that know nothing of each other."""

from dataclasses import dataclass

from render.catalog import ObjectRef
from shards.catalogue import ShardPlan
from shards.errors import UsageError


@dataclass(frozen=True)
class Part:
    """The ``number``-th of ``count`` shares; numbers begin at 1."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(f"there is no part {self}: the parts of {self.count} are 1 to {self.count}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def file_name(self) -> str:
        """The part's name where no slash may stand."""
        return f"{self.number}-of-{self.count}"

    def shards(self, shards: tuple[ShardPlan[ObjectRef], ...]) -> tuple[ShardPlan[ObjectRef], ...]:
        """The part's own: whole shards, dealt round robin."""
        return shards[self.number - 1 :: self.count]


def parse_part(text: str) -> Part:
    """Reads ``3/16``.

    Raises:
        UsageError: it does not read so, or there is no such part.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
        raise UsageError(f"{text!r} names no part; write it as 3/16, the third of sixteen")
    if not int(count):
        raise UsageError(f"{text!r} names no part: there is at least one")
    return Part(int(number), int(count))
