"""Batches of views, the functions that make them, and their transfer from a loader worker to the training process."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

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
            views=_channels_first(views.received()) if isinstance(views, Block) else views,
            latents=torch.from_numpy(state["latents"]),
            labels=torch.from_numpy(state["labels"]),
            block=None,
        )


@dataclass(frozen=True)
class DrawBatch(_Batch):
    """A batch of draws; each draw is a few views of one object, two for pairs.

    Attributes:
        views: (views of a draw, batch, 3, height, width) uint8, channels last in memory.
        latents: (views of a draw, batch, number of latents) float64.
        labels: (batch,) int64.
        block: Block of shared memory that holds the views; None if they are in ordinary memory or were received.
    """

    block: Block | None = field(default=None, repr=False)

    def pin_memory(self) -> "DrawBatch":
        """Returns a copy whose views are in page-locked memory. The DataLoader calls this."""
        return DrawBatch(_pinned(self.views), self.latents, self.labels)


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
    block: Block | None = field(default=None, repr=False)

    def pin_memory(self) -> "ViewBatch":
        """Returns a copy whose views are in page-locked memory. The DataLoader calls this."""
        return ViewBatch(_pinned(self.views), self.latents, self.labels, self.start, self.names)


def collate_draws(draws: Sequence[Sequence[View]], size: int, blocks: Blocks | None = None) -> DrawBatch:
    """Decodes draws into one batch.

    Args:
        draws: Draws with the same number of views; the views of a draw show one object.
        size: Width and height of an image in pixels.
        blocks: Shared memory that a loader worker writes images into; None to use ordinary memory.
    """
    sides: list[tuple[View, ...]] = list(zip(*draws, strict=True))
    pixels, block = draw_room(len(sides), len(draws), size, blocks)
    for side, room in zip(sides, pixels, strict=True):
        _decode(side, room)
    latents = torch.stack([_latents(side) for side in sides])
    return joined_draws(pixels, latents, _labels(sides[0]), block)


def draw_room(
    views: int, draws: int, size: int, blocks: Blocks | None = None
) -> tuple[torch.Tensor, Block | None]:
    """Allocates (views, draws, size, size, 3) uint8 for a batch's images, and returns it with its block, if any."""
    return _room((views, draws, size, size, 3), blocks)


def joined_draws(
    pixels: torch.Tensor, latents: torch.Tensor, labels: torch.Tensor, block: Block | None
) -> DrawBatch:
    """Makes one batch from images that are already decoded.

    Args:
        pixels: (views, draws, size, size, 3) uint8 tensor from ``draw_room``.
        latents: (views, draws, number of latents) float64.
        labels: (draws,) int64.
        block: Block from ``draw_room``.
    """
    return DrawBatch(_channels_first(pixels), latents, labels, block)


def collate_views(views: Sequence[View], size: int, start: int, blocks: Blocks | None = None) -> ViewBatch:
    """Decodes consecutive views into one batch.

    Args:
        views: Views that follow each other in the split.
        size: Width and height of an image in pixels.
        start: Position of the first view in the split.
        blocks: Shared memory that a loader worker writes images into; None to use ordinary memory.
    """
    pixels, block = image_room(len(views), size, blocks)
    _decode(views, pixels)
    return batch_of_views(views, pixels, start, block)


def image_room(count: int, size: int, blocks: Blocks | None = None) -> tuple[torch.Tensor, Block | None]:
    """Allocates (count, size, size, 3) uint8 for a batch's images, and returns it with its block, if any."""
    return _room((count, size, size, 3), blocks)


def batch_of_views(
    views: Sequence[View], pixels: torch.Tensor, start: int, block: Block | None = None
) -> ViewBatch:
    """Makes one batch from images that are already decoded; a view may occur several times.

    Args:
        views: View that each image shows.
        pixels: (views, size, size, 3) uint8 tensor from ``image_room``.
        start: Position of the first image in the split.
        block: Block from ``image_room``.
    """
    names = [(view.metadata.synset, view.metadata.object) for view in views]
    return ViewBatch(_channels_first(pixels), _latents(views), _labels(views), start, names, block)


def _room(shape: tuple[int, ...], blocks: Blocks | None) -> tuple[torch.Tensor, Block | None]:
    """Allocates uint8 memory; in a loader worker, memory that is shared with the training process.

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
    """Decodes each view into its row of the (views, size, size, 3) tensor ``pixels``."""
    for view, row in zip(views, pixels.numpy(), strict=True):
        view.pixels(out=row)


def _latents(views: Sequence[View]) -> torch.Tensor:
    return torch.from_numpy(np.array([view.metadata.latents for view in views], dtype=np.float64))


def _labels(views: Sequence[View]) -> torch.Tensor:
    return torch.tensor([view.metadata.label for view in views])


def _channels_first(pixels: torch.Tensor) -> torch.Tensor:
    """Returns (..., height, width, 3) as (..., 3, height, width), without changing the order in memory."""
    return pixels.movedim(-1, -3)


def _pinned(views: torch.Tensor) -> torch.Tensor:
    return _channels_first(views.movedim(-3, -1).pin_memory())
