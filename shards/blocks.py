"""Memory that loader workers write batches into, and their parent reads them from, over and over.

One worker with two blocks; the parent keeps a batch until its step is done::

    worker: take -> block 0, decodes into it, sends the message (block 0)
    parent: received -> a tensor over block 0, trains on it
    worker: take -> block 1, sends (block 1)        block 0 is still marked as taken
    worker: take -> None: it makes an ordinary tensor instead and never waits
    parent: lets go of the first tensor -> its finalizer marks block 0 as free
    worker: take -> block 0 again

Only the worker marks a block of its own as taken and only the parent marks it as free, so no lock is needed.
"""

import mmap
import weakref
from itertools import count
from math import prod
from typing import NamedTuple

import numpy as np
import torch

_numbers = count()
_known: "weakref.WeakValueDictionary[int, Blocks]" = weakref.WeakValueDictionary()


class Block(NamedTuple):
    """A block with a batch in it, as a message between processes names it."""

    blocks: int
    place: int
    shape: tuple[int, ...]

    def received(self) -> torch.Tensor:
        """What a worker wrote, uint8; with the last reference to it the block is free again."""
        return _known[self.blocks].received(self.place, self.shape)


class Blocks:
    """Blocks of bytes for each of some workers, which are forked after they were made.

    PyTorch makes new shared memory for every tensor that a worker sends. Its fresh pages, and handing it over, took
    0.7 of the time of decoding the images into it (benchmarks/RESULTS.md). It also is limited by ``/dev/shm``, which
    containers keep small; this memory is not.

    Args:
        workers: Number of loader workers that write.
        each: blocks of each worker.
        size: Size of a block, bytes.
    """

    def __init__(self, workers: int, each: int, size: int) -> None:
        self._number = next(_numbers)
        self._each = each
        self._bytes = np.frombuffer(mmap.mmap(-1, workers * each * size), np.uint8).reshape(-1, size)
        self._taken = np.frombuffer(mmap.mmap(-1, workers * each), np.bool_)
        _known[self._number] = self

    def take(self, worker: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, Block] | None:
        """In a worker, uninitialised uint8 in a block of its own; None where all are in the parent's hands.

        Args:
            worker: its number.
            shape: Shape of the array, which must fit into a block.
        """
        mine = slice(worker * self._each, (worker + 1) * self._each)
        free = np.flatnonzero(~self._taken[mine])
        if not len(free):
            return None
        place = mine.start + int(free[0])
        self._taken[place] = True
        return torch.from_numpy(self._array(place, shape)), Block(self._number, place, shape)

    def received(self, place: int, shape: tuple[int, ...]) -> torch.Tensor:
        """In the parent, what was written; see ``Block.received``."""
        array = self._array(place, shape)
        weakref.finalize(array, self._free, place).atexit = False
        return torch.from_numpy(array)

    def _array(self, place: int, shape: tuple[int, ...]) -> np.ndarray:
        return self._bytes[place, : prod(shape)].reshape(shape)

    def _free(self, place: int) -> None:
        self._taken[place] = False
