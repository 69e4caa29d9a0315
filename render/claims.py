"""Lets processes claim shards, and numbers on a machine; a claim holds for as long as its process lives."""

import fcntl
import hashlib
import os
import socket
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

from render.plan import RenderShard
from shards.locks import take_lock

_VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def lock_file(path: Path) -> int | None:
    """Locks a file, which is made if it does not exist, until it is closed or this process ends.

    Returns:
        Descriptor of the file; None if another process has locked it.
    """
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        take_lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, path.parent)
    except BaseException as error:
        os.close(descriptor)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return descriptor


class ShardClaims:
    """The shards that this process has claimed, each by a locked file in a folder that all processes share."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}

    def take(self, name: str) -> bool:
        """Claims a shard; False if another process has claimed it."""
        descriptor = lock_file(self._folder / name)
        if descriptor is not None:
            self._held[name] = descriptor
        return descriptor is not None

    def release(self, name: str) -> None:
        """Gives a shard back, done or not."""
        os.close(self._held.pop(name))

    def release_all(self) -> None:
        """Gives all shards back."""
        for name in list(self._held):
            self.release(name)

    def each(self, shards: Sequence[RenderShard]) -> Iterator[RenderShard]:
        """Claims shards in order, each when it is asked for.

        Shards that other processes hold are tried again after all others, because a process that dies releases its
        shards. The iteration ends when other processes hold all that are left.
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


def node_folder(staging: Path) -> Path:
    """The folder of this machine's locks in the folder that all processes of a render share; made if need be."""
    folder = staging / "nodes" / socket.gethostname()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def take_slot(staging: Path) -> int:
    """Takes the lowest number that no other render process of this machine holds, until this process ends.

    With ``workers`` processes the numbers are 0 to ``workers - 1``, so that devices can be dealt by them. The
    kernel frees a number however the process ends, since it is a lock on a file. Processes that see other GPUs,
    as two jobs of a scheduler on one machine, are numbered by themselves.
    """
    visible = "\n".join(os.environ.get(name, "") for name in _VISIBLE)
    folder = node_folder(staging) / f"slots-{hashlib.sha256(visible.encode()).hexdigest()[:8]}"
    folder.mkdir(exist_ok=True)
    # The descriptor of the number stays open, and with it the lock.
    return next(number for number in count() if lock_file(folder / f"slot-{number}") is not None)
