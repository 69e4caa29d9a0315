"""Streams read by worker processes, which give parts of batches, and are gone when they should be."""

import multiprocessing
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from torch.utils.data import DataLoader

from shards.batches import DrawBatch, ViewBatch
from shards.blocks import Blocks
from shards.child_processes import available_cores
from shards.errors import IebenchError
from shards.stream import DrawStream, ViewStream

T = TypeVar("T")

PREFETCHED = 3
"""Parts that each loader worker is ahead."""
MOST_WORKERS = 8
"""Loader workers of a process, unless it is told otherwise."""
_IN_USE = 3  # parts of a worker that its parent has at hand, or that wait for their turn


def loader_workers(asked: int | None, processes: int = 1) -> int:
    """Returns the number of loader workers of one process.

    Args:
        asked: Number from the recipe; None leaves two cores to each process and takes the rest, at most eight.
        processes: Number of processes that share this machine.
    """
    return min(MOST_WORKERS, max(0, available_cores() // processes - 2)) if asked is None else asked


@contextmanager
def draw_batches(
    stream: DrawStream, workers: int, pin_memory: bool = False
) -> Iterator[Iterator[tuple[DrawBatch, ...]]]:
    """The batches of a stream, without end, in as many parts as there are workers (one for none).

    Args:
        stream: The stream of pairs; its ``start_step`` is the first step.
        workers: processes that decode; those without a lane are not started.
        pin_memory: Whether batches are copied into page-locked memory, as copies to CUDA need it.

    Raises:
        IebenchError: a shard cannot be read, or a worker was killed.
    """
    workers = min(workers, stream.lanes)
    with _reading(stream, workers, pin_memory) as parts:
        yield whole_batches(parts, max(1, workers))


@contextmanager
def view_batches(stream: ViewStream, workers: int, pin_memory: bool = False) -> Iterator[Iterator[ViewBatch]]:
    """The batches of a stream, each of which tells its place; all else as ``draw_batches``."""
    with _reading(stream, workers, pin_memory) as parts:
        yield (batch for (batch,) in whole_batches(parts, 1))


def whole_batches(parts: Iterable[T | IebenchError], workers: int) -> Iterator[tuple[T, ...]]:
    """What loader workers give, as many parts at a time as there are workers.

    Raises:
        IebenchError: as a stream met it.
    """
    found: list[T] = []
    for part in parts:
        if isinstance(part, IebenchError):
            raise part
        found.append(part)
        if len(found) == workers:
            yield tuple(found)
            found = []


@contextmanager
def _reading(stream: DrawStream | ViewStream, workers: int, pin_memory: bool) -> Iterator[Iterator[Any]]:
    """What the stream gives, by way of workers that are gone at the end.

    PyTorch ends them with the last reference to them, which the frames of an error may hold up to the end of the
    interpreter; that would wait for ever for workers that heed no signal.

    Raises:
        IebenchError: a worker was killed; PyTorch interrupts whatever this process is at.
    """
    if workers and multiprocessing.get_start_method() == "fork":
        stream.blocks = Blocks(workers, PREFETCHED + _IN_USE, stream.part_bytes(workers))
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin_memory,
        worker_init_fn=_leave_interrupts_to_parent,
        prefetch_factor=PREFETCHED if workers else None,
    )
    parts: Any = None
    try:
        parts = iter(loader)
        yield parts
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise IebenchError(
            "a process that reads shards was killed, as the system does when memory runs out; fewer of them "
            "(training.workers) need less"
        ) from error
    finally:
        stream.blocks = None
        if workers and parts is not None:
            parts._shutdown_workers()
            for worker in parts._workers:  # perhaps in the middle of a download
                worker.kill()
                worker.join()


def _leave_interrupts_to_parent(_: int) -> None:
    """Also SIGTERM: torchrun and Slurm send it to every process that they know of."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
