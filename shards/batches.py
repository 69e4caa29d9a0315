"""Batches of views, the functions that make them, and their transfer from a loader worker to the training process."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
import torch.utils.data

from shards.blocks import Block, Blocks
from shards.reader import View


@dataclass(frozen=True)
class _Batch:
    """Base class of batches. Pickled for the training process, images stay in shared memory; the rest is copied."""

    views: torch.Tensor
    latents: torch.Tensor
    labels: torch.Tensor
    block: Block | None = field(default=None, repr=False, kw_only=True)

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        block = state.pop("block")
        return state | {
            "views": block or self.views,
            "latents": self.latents.numpy(),
            "labels": self.labels.numpy(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        views = state["views"]
        vars(self).update(
            state,
            views=channels_first(views.received()) if isinstance(views, Block) else views,
            latents=torch.from_numpy(state["latents"]),
            labels=torch.from_numpy(state["labels"]),
            block=None,
        )

    def pin_memory(self) -> Self:
        """Returns a copy whose views are in page-locked memory. The DataLoader calls this."""
        return replace(self, views=channels_first(self.views.movedim(-3, -1).pin_memory()), block=None)


@dataclass(frozen=True)
class DrawBatch(_Batch):
    """A batch of draws; each draw is a few views of one object, two for pairs.

    Attributes:
        views: (views of a draw, batch, 3, height, width) uint8, channels last in memory.
        latents: (views of a draw, batch, number of latents) float64.
        labels: (batch,) int64.
        block: Block of shared memory that holds the views; None if they are in ordinary memory or were received.
    """


@dataclass(frozen=True)
class ViewBatch(_Batch):
    """A batch of consecutive views of a split.

    Attributes:
        views: (batch, 3, height, width) uint8, channels last in memory.
        latents: (batch, number of latents) float64.
        labels: (batch,) int64.
        start: Position of the first view among all views of the split, in the order of the index.
        names: Synset and name of each view's object.
        block: Block of shared memory that holds the views; None if they are in ordinary memory or were received.
    """

    start: int
    names: list[tuple[str, str]]


def collate_draws(draws: Sequence[Sequence[View]], size: int, blocks: Blocks | None = None) -> DrawBatch:
    """Decodes draws with the same number of views into one batch of images of ``size`` pixels square.

    A loader worker writes the images into ``blocks``, if there are any.
    """
    sides: list[tuple[View, ...]] = list(zip(*draws, strict=True))
    pixels, block = allocate_images((len(sides), len(draws), size, size, 3), blocks)
    for side, side_pixels in zip(sides, pixels, strict=True):
        _decode(side, side_pixels)
    latents = torch.stack([_latents(side) for side in sides])
    return DrawBatch(channels_first(pixels), latents, _labels(sides[0]), block=block)


def collate_views(views: Sequence[View], size: int, start: int, blocks: Blocks | None = None) -> ViewBatch:
    """Decodes consecutive views into one batch; ``start`` is the position of the first one in the split."""
    pixels, block = allocate_images((len(views), size, size, 3), blocks)
    _decode(views, pixels)
    return batch_of_views(views, pixels, start, block)


def batch_of_views(
    views: Sequence[View], pixels: torch.Tensor, start: int, block: Block | None = None
) -> ViewBatch:
    """Makes one batch from decoded images; a view may occur several times.

    Args:
        views: View that each image shows.
        pixels: (views, size, size, 3) uint8 tensor from ``allocate_images``.
        start: Position of the first image in the split.
        block: Block from ``allocate_images``.
    """
    names = [(view.metadata.synset, view.metadata.object) for view in views]
    return ViewBatch(channels_first(pixels), _latents(views), _labels(views), start, names, block=block)


def allocate_images(shape: tuple[int, ...], blocks: Blocks | None) -> tuple[torch.Tensor, Block | None]:
    """Allocates uint8 memory, and returns it with its block: in a loader worker, it is shared with the training process.

    Images in other memory would be copied to shared memory when the batch is sent, which
    ``torch.utils.data.default_collate`` avoids in the same way.
    """
    worker = torch.utils.data.get_worker_info()
    if not worker:
        return torch.empty(shape, dtype=torch.uint8), None
    taken = blocks.take(worker.id, shape) if blocks else None
    if taken:
        return taken
    shared = torch.UntypedStorage._new_shared(int(np.prod(shape)))
    return torch.empty(0, dtype=torch.uint8).set_(shared).view(shape), None


def _decode(views: Sequence[View], pixels: torch.Tensor) -> None:
    for view, row in zip(views, pixels.numpy(), strict=True):
        view.pixels(out=row)


def _latents(views: Sequence[View]) -> torch.Tensor:
    return torch.from_numpy(np.array([view.metadata.latents for view in views], dtype=np.float64))


def _labels(views: Sequence[View]) -> torch.Tensor:
    return torch.tensor([view.metadata.label for view in views])


def channels_first(pixels: torch.Tensor) -> torch.Tensor:
    """Returns (..., height, width, 3) as (..., 3, height, width), without changing the order in memory."""
    return pixels.movedim(-1, -3)
