"""Brings batches from shards to the device: the stream of a process, and the copies of its batches."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from iebench.recipes.recipe import TrainingConfig
from iebench.training.online import Views
from iebench.training.processes import Processes
from shards.augmented import ViewMaker
from shards.batches import DrawBatch
from shards.schema import DatasetIndex
from shards.stream import DrawSettings, DrawStream

T = TypeVar("T")
DeviceBatch = tuple[Views, Views, Tensor]
"""Views, latents and labels of one batch on a device."""


def draw_stream(
    config: TrainingConfig,
    index: DatasetIndex,
    data: Path,
    processes: Processes,
    views: int = 2,
    maker: ViewMaker | None = None,
) -> DrawStream:
    """Creates the stream of draws of ``views`` views, of which this process gets its rows of every batch.

    With a ``maker``, the views of a draw are made out of one stored view.

    Raises:
        UsageError: Lanes, batch and processes do not divide, or objects have too few views.
    """
    settings = DrawSettings(
        batch_size=config.batch_size,
        draws_per_object=config.pairs_per_object,
        seed=config.seed,
        buffer_objects=config.buffer_objects,
        lanes=config.lanes,
        interleave=config.interleave,
        views=views,
        maker=maker,
    )
    return DrawStream(data, index, "train", settings, processes.rank, processes.count)


def batches_on_device(
    batches: Iterable[tuple[DrawBatch, ...]], device: torch.device
) -> Iterator[DeviceBatch]:
    """Yields batches on a device; on CUDA, each is copied while the one before it is computed on.

    The copies run on a stream of their own, one batch ahead, and the step that takes a batch waits for its copy on
    the device only. Only copies from page-locked memory run beside computations.
    """
    if device.type != "cuda":
        yield from (to_device(parts, device) for parts in batches)
        return
    copies = torch.cuda.Stream(device)

    def copied(parts: tuple[DrawBatch, ...]) -> tuple[DeviceBatch, torch.cuda.Event]:
        with torch.cuda.stream(copies):
            return to_device(parts, device), copies.record_event()

    for (views, latents, labels), is_there in prefetch_one(map(copied, batches)):
        computations = torch.cuda.current_stream(device)
        computations.wait_event(is_there)
        for tensor in (*views, *latents, labels):  # or its memory could be given away before it was read
            tensor.record_stream(computations)
        yield views, latents, labels


def prefetch_one(items: Iterable[T]) -> Iterator[T]:
    """Yields items in their order, each only when the next one has been fetched."""
    iterator = iter(items)
    for fetched in iterator:
        for following in iterator:
            yield fetched
            fetched = following
        yield fetched


def to_device(parts: tuple[DrawBatch, ...], device: torch.device) -> DeviceBatch:
    """Joins the parts of one batch on ``device``: views, latents (still float64) and labels."""

    def joined(tensors: list[Tensor]) -> Tensor:
        moved = [tensor.to(device, non_blocking=True) for tensor in tensors]
        return moved[0] if len(moved) == 1 else torch.cat(moved)

    views, latents = (
        tuple(joined(list(sides)) for sides in zip(*of_parts, strict=True))
        for of_parts in ([part.views for part in parts], [part.latents for part in parts])
    )
    return views, latents, joined([part.labels for part in parts])
