"""Reusable shared memory, into which loader workers write images and from which the training process reads them.

One worker with two blocks, and the training process as its parent::

    step                                                          block 0    block 1
    worker: take() gives block 0; it decodes into it and sends    taken      free
            a message that names block 0
    parent: received() gives a tensor over block 0                taken      free
    worker: take() gives block 1, as block 0 is still taken       taken      taken
    worker: take() gives None, so the worker uses PyTorch's       taken      taken
            own shared memory and does not wait
    parent: drops its last reference to the first tensor          free       taken
    worker: take() gives block 0 again                            taken      taken

No lock is needed: only the worker marks its blocks as taken, and only the parent marks them as free.
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
    """The message by which a worker tells its parent which block holds the images of a batch.

    Attributes:
        blocks: Number of the ``Blocks`` object, the same in all processes.
        position: Position of the block among all blocks.
        shape: Shape of the images.
    """

    blocks: int
    position: int
    shape: tuple[int, ...]

    def received(self) -> torch.Tensor:
        """Returns the uint8 tensor that a worker wrote; the block is free again when nothing refers to it any more."""
        return _known[self.blocks].received(self.position, self.shape)


class Blocks:
    """Blocks of shared memory for loader workers. The workers must be forked after this object was created.

    PyTorch would allocate new shared memory for every tensor that a worker sends. Its new pages and its transfer took
    0.7 of the time of decoding the images (benchmarks/RESULTS.md). It is also limited by ``/dev/shm``, which is small
    in containers; this memory is not.

    Args:
        workers: Number of loader workers.
        each: Number of blocks of each worker.
        size: Size of a block in bytes.
    """

    def __init__(self, workers: int, each: int, size: int) -> None:
        self._number = next(_numbers)
        self._each = each
        self._bytes = np.frombuffer(mmap.mmap(-1, workers * each * size), np.uint8).reshape(-1, size)
        self._taken = np.frombuffer(mmap.mmap(-1, workers * each), np.bool_)
        _known[self._number] = self

    def take(self, worker: int, shape: tuple[int, ...]) -> tuple[torch.Tensor, Block] | None:
        """Reserves a free block of a worker and returns it as a uint8 tensor, with the message for the parent.

        The tensor's contents are undefined. None if all blocks of this worker are taken. Workers call this.
        """
        mine = slice(worker * self._each, (worker + 1) * self._each)
        free = np.flatnonzero(~self._taken[mine])
        if not len(free):
            return None
        position = mine.start + int(free[0])
        self._taken[position] = True
        return torch.from_numpy(self._array(position, shape)), Block(self._number, position, shape)

    def received(self, position: int, shape: tuple[int, ...]) -> torch.Tensor:
        """Returns the uint8 tensor in a block; its block is freed with it. The parent calls this."""
        array = self._array(position, shape)
        weakref.finalize(array, self._free, position).atexit = False
        return torch.from_numpy(array)

    def _array(self, position: int, shape: tuple[int, ...]) -> np.ndarray:
        return self._bytes[position, : prod(shape)].reshape(shape)

    def _free(self, position: int) -> None:
        self._taken[position] = False
