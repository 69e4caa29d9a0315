"""Reads streams with worker processes, and stops these processes at the end.

With two workers, worker 0 yields the first half of each batch's lanes and worker 1 the second half. The DataLoader
gives the halves in turn, and ``whole_batches`` puts them together again::

    DataLoader       step 0 of worker 0,  step 0 of worker 1,   step 1 of worker 0,  step 1 of worker 1, ...
    whole_batches   (step 0 of worker 0,  step 0 of worker 1), (step 1 of worker 0,  step 1 of worker 1), ...
"""

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
"""Number of batches that each loader worker prepares in advance."""
MOST_WORKERS = 8
"""Largest number of loader workers that a process starts by default."""
_IN_USE = 3  # blocks of a worker that the training process still uses, or that wait for their turn


def loader_workers(asked: int | None, processes: int = 1) -> int:
    """Returns the number of loader workers of each of the training processes on this machine.

    None in the recipe gives each process its share of the cores less two, at most eight workers.
    """
    return min(MOST_WORKERS, max(0, available_cores() // processes - 2)) if asked is None else asked


@contextmanager
def draw_batches(
    stream: DrawStream, workers: int, pin_memory: bool = False
) -> Iterator[Iterator[tuple[DrawBatch, ...]]]:
    """Opens an iterator over the batches of a stream from its ``start_step`` on, which has no end.

    Each batch is a tuple with one part from each worker, or a single part without workers. Leaving the context stops
    the workers.

    Args:
        stream: Stream of draws.
        workers: Number of processes that read and decode; no more are started than there are lanes.
        pin_memory: Whether batches are copied into page-locked memory, from which copies to CUDA can be asynchronous.

    Raises:
        IebenchError: A shard cannot be read, or a worker was killed.
    """
    workers = min(workers, stream.lanes)
    with _reading(stream, workers, pin_memory) as parts:
        yield whole_batches(parts, max(1, workers))


@contextmanager
def view_batches(stream: ViewStream, workers: int, pin_memory: bool = False) -> Iterator[Iterator[ViewBatch]]:
    """Opens an iterator over the batches of an evaluation's stream, in no fixed order; see ``ViewBatch.start``.

    The other arguments and errors are those of ``draw_batches``.
    """
    with _reading(stream, workers, pin_memory) as parts:
        yield (batch for (batch,) in whole_batches(parts, 1))


def whole_batches(parts: Iterable[T | IebenchError], workers: int) -> Iterator[tuple[T, ...]]:
    """Joins the parts of batches that loader workers yield in turn, and raises an error that was yielded as a part."""
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
    """Opens an iterator over everything that a stream yields, and kills the loader workers at the end.

    PyTorch would stop the workers only when nothing refers to them any more. The traceback of an error can keep them
    until the interpreter exits, which would then wait forever for workers that ignore signals.

    Raises:
        IebenchError: A worker was killed. PyTorch raises this at whatever line this process is executing.
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
            for worker in parts._workers:  # a worker may be in the middle of a download
                worker.kill()
                worker.join()


def _leave_interrupts_to_parent(_: int) -> None:
    """Makes a loader worker ignore SIGINT and SIGTERM, which torchrun and Slurm send to every process of a job."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
