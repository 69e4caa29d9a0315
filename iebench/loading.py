"""From shards to the device: decoding processes that live as long as the training, pinned memory, parts joined there."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

from iebench.online import Views
from iebench.recipe import TrainingConfig
from shards.errors import IebenchError
from shards.schema import DatasetIndex
from shards.stream import Pair, PairSettings, PairStream, ViewBatch, ViewStream, whole_batches

PREFETCHED = 3
"""Batches that each loader worker is ahead."""


def pair_stream(config: TrainingConfig, index: DatasetIndex, data: Path, fabric: Fabric) -> PairStream:
    """The pairs of a training, of which this process gets its rows of every batch.

    Raises:
        UsageError: lanes, batch and processes do not divide, or there is no pair to be drawn.
    """
    settings = PairSettings(
        config.batch_size,
        config.pairs_per_object,
        config.seed,
        config.held_objects,
        config.lanes,
        config.interleave,
    )
    return PairStream(data, index, "train", settings, fabric.global_rank, fabric.world_size)


@contextmanager
def pair_batches(
    stream: PairStream, workers: int, device: torch.device, step: int = 0
) -> Iterator[Iterator[tuple[Pair, ...]]]:
    """The batches of a training from ``step`` on, without end, in parts.

    Raises:
        IebenchError: a shard cannot be read, or a worker was killed.
    """
    stream.start_step = step
    workers = min(workers, stream.lanes)
    with _loading(stream, workers, device) as parts:
        yield whole_batches(parts, max(1, workers))


@contextmanager
def view_batches(views: ViewStream, workers: int, device: torch.device) -> Iterator[Iterator[ViewBatch]]:
    """Batches of views for evaluation; each tells its place.

    Raises:
        IebenchError: a shard cannot be read, or a worker was killed.
    """
    with _loading(views, workers, device) as parts:
        yield (batch for (batch,) in whole_batches(parts, 1))


def on_device(parts: tuple[Pair, ...], device: torch.device) -> tuple[Views, Views, Tensor]:
    """Views, latents and labels of one batch on ``device``; plain tuples, which mixed precision can look into."""

    def joined(tensors: list[Tensor]) -> Tensor:
        moved = [tensor.to(device, non_blocking=True) for tensor in tensors]
        return moved[0] if len(moved) == 1 else torch.cat(moved)

    views, latents = (
        (joined([pair[0] for pair in pairs]), joined([pair[1] for pair in pairs]))
        for pairs in ([part.views for part in parts], [part.latents for part in parts])
    )
    return views, latents, joined([part.labels for part in parts])


@contextmanager
def _loading(stream: IterableDataset, workers: int, device: torch.device) -> Iterator[Iterator[Any]]:
    """What the stream gives, by way of workers that are gone at the end.

    PyTorch ends them with the last reference to them, which the frames of an error may hold up to the end of the
    interpreter; that would wait for ever for workers that heed no signal.

    Raises:
        IebenchError: a worker was killed; PyTorch interrupts whatever this process is at.
    """
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=workers,
        pin_memory=device.type == "cuda",
        worker_init_fn=_leave_interrupts_to_parent,
        prefetch_factor=PREFETCHED if workers else None,
    )
    parts: Any = iter(loader)
    try:
        yield parts
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise IebenchError(
            "a process that reads shards was killed, as the system does when memory runs out; fewer of them "
            "(training.workers) need less"
        ) from error
    finally:
        if workers:
            parts._shutdown_workers()


def _leave_interrupts_to_parent(_: int) -> None:
    """Also SIGTERM: torchrun and Slurm send it to every process that they know of."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
