"""Chooses the shards that a process renders: all of a dataset, or those that it claims beside others."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from render.claims import ShardClaims
from render.plan import RenderShard
from render.staging import Staging
from shards.errors import UsageError
from shards.failures import FAILURES_NAME, Failure, Failures


@dataclass(frozen=True)
class Part:
    """One of ``count`` processes that share the shards of a dataset; numbers begin at 1."""

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            raise UsageError(f"there is no part {self}: the parts of {self.count} are 1 to {self.count}")

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    def in_turn(self, shards: Sequence[RenderShard]) -> tuple[RenderShard, ...]:
        """Returns all shards, rotated so that each part begins at another one if there are enough."""
        first = (self.number - 1) * len(shards) // self.count
        return (*shards[first:], *shards[:first])

    def to_check(self, shards: Sequence[RenderShard]) -> tuple[RenderShard, ...]:
        """The shards that this part reads for damage: those of the others are read by them."""
        return tuple(shards[self.number - 1 :: self.count])


def parse_part(text: str) -> Part:
    """Reads ``3/16``; raises a ``UsageError`` if a text does not read so, or there is no such part."""
    number, slash, count = text.partition("/")
    if not (slash and number.isascii() and number.isdigit() and count.isascii() and count.isdigit()):
        raise UsageError(f"{text!r} names no part; write it as 3/16, the third of sixteen")
    if not int(count):
        raise UsageError(f"{text!r} names no part: there is at least one")
    return Part(int(number), int(count))


class WholeDataset:
    """All shards, for a process that renders alone; it takes over what others listed before.

    Attributes:
        objects: Number of objects to expect.
        list: What fails in the dataset.
    """

    def __init__(self, shards: Sequence[RenderShard], staging: Staging) -> None:
        self._shards = shards
        self.objects = sum(len(shard.objects) for shard in shards)
        self.list = Failures(staging.out / FAILURES_NAME)
        self.list.absorb(tuple(sorted((staging.folder / "failures").glob("*.jsonl"))))

    def batches(self) -> Iterator[Sequence[RenderShard]]:
        """Yields the shards that are looked at together: here all of them."""
        yield self._shards

    def failures_in(self, shard: RenderShard) -> Failures:
        """The list of what fails in a shard."""
        return self.list

    def pass_over(self, shard: RenderShard) -> None:
        """Does nothing: nobody else waits for the shard, which is complete."""

    def give_back(self, shard: RenderShard) -> None:
        """Does nothing: nobody else waits for the shard."""


class ClaimedShards:
    """Shards that nobody else is rendering, claimed one by one as workers run out of jobs.

    Attributes:
        objects: Number of objects to expect.
        claims: The claims of this process, to be released when it is done.
    """

    def __init__(self, shards: Sequence[RenderShard], staging: Staging, part: Part) -> None:
        self._shards = part.in_turn(shards)
        self.objects = -(-sum(len(shard.objects) for shard in shards) // part.count)
        self._staging = staging
        self._lists: dict[str, Failures] = {}
        self.claims = ShardClaims(staging.folder / "claims")

    def batches(self) -> Iterator[Sequence[RenderShard]]:
        """Shards that lack objects as far as their records tell, each once it is claimed."""
        sealed = self._staging.shards
        left = [
            shard
            for shard in self._shards
            if (record := sealed.get(shard.name)) is None or record.info.objects < len(shard.objects)
        ]
        for shard in self.claims.each(left):
            # Whoever had claimed it wrote the list before.
            path = self._staging.folder / "failures" / f"{shard.name}.jsonl"
            self._lists[shard.name] = Failures(path, (self._staging.out / FAILURES_NAME,))
            yield (shard,)

    def failures_in(self, shard: RenderShard) -> Failures:
        """The list of the shard, which this process alone writes as long as it has claimed it."""
        return self._lists[shard.name]

    def pass_over(self, shard: RenderShard) -> None:
        """Releases the claim of a shard that turned out to be complete; its failures are not reported again."""
        del self._lists[shard.name]
        self.claims.release(shard.name)

    def give_back(self, shard: RenderShard) -> None:
        """Lets others have a shard that was completed."""
        self.claims.release(shard.name)

    def failures(self) -> tuple[Failure, ...]:
        """Returns the failures in the shards that this process rendered."""
        return tuple(chain.from_iterable(self._lists.values()))


ShardAssignment = WholeDataset | ClaimedShards
"""The shards that are a process's to render, and the lists of what fails in them."""
