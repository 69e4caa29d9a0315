"""Lets several processes claim shards; a claim holds for as long as its process lives."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from render.catalog import ObjectRef
from shards.locks import take_lock
from shards.shard_plan import ShardPlan


class ShardClaims:
    """The shards that this process has claimed, each by a lock on a file, which the kernel frees if the process dies.

    Args:
        folder: Folder of the locked files, which all processes share.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def take(self, name: str) -> bool:
        """Claims a shard; False if another process has claimed it."""
        descriptor = os.open(self._folder / name, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            take_lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, self._folder)
        except BaseException as error:
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return False
            raise
        self._held[name] = descriptor
        return True

    def release(self, name: str) -> None:
        """Gives a shard back, done or not."""
        os.close(self._held.pop(name))

    def release_all(self) -> None:
        """Gives all shards back."""
        for name in list(self._held):
            self.release(name)

    def each(self, shards: Sequence[ShardPlan[ObjectRef]]) -> Iterator[ShardPlan[ObjectRef]]:
        """Claims shards one after the other, each when it is asked for.

        Shards that other processes hold are tried again after all others, because a process that dies releases its
        shards. The iteration ends when other processes hold all that are left.

        Args:
            shards: The shards, in the order in which they are claimed.
        """
        while True:
            passed = []
            for shard in shards:
                if self.take(shard.name):
                    yield shard
                else:
                    passed.append(shard)
            if len(passed) == len(shards):
                return
            shards = passed
