"""Batches of views, and their way from a loader worker to the training process."""

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
    """What goes from a worker to its parent by value, but for the images."""

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
    """Draws: views of one object each, two for pairs.

    Attributes:
        views: (views of a draw, batch, 3, height, width) uint8, channels last in memory.
        latents: (views of a draw, batch, number of latents) float64.
        labels: (batch,) int64.
        block: The block of shared memory that holds the views, in a loader worker; otherwise None.
    """

    block: Block | None = field(default=None, repr=False)

    def pin_memory(self) -> "DrawBatch":
        """The same in page-locked memory, for the DataLoader."""
        return DrawBatch(_pinned(self.views), self.latents, self.labels)


@dataclass(frozen=True)
class ViewBatch(_Batch):
    """Views that stand one after the other in a split.

    Attributes:
        views: (batch, 3, height, width) uint8, channels last in memory.
        latents: (batch, number of latents) float64.
        labels: (batch,) int64.
        start: the place of the first among the views of the split, in the order of the index.
        names: (synset, object id) of each view's object.
        block: The block of shared memory that holds the views, in a loader worker; otherwise None.
    """

    start: int
    names: list[tuple[str, str]]
    block: Block | None = field(default=None, repr=False)

    def pin_memory(self) -> "ViewBatch":
        """The same in page-locked memory, for the DataLoader."""
        return ViewBatch(_pinned(self.views), self.latents, self.labels, self.start, self.names)


def collate_draws(draws: Sequence[Sequence[View]], size: int, blocks: Blocks | None = None) -> DrawBatch:
    """One batch.

    Args:
        draws: Draws of as many views each; the views of a draw show one object.
        size: Width and height of an image, pixels.
        blocks: The blocks of shared memory to write images into, in a loader worker; otherwise None.
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
    """Uninitialised (views, draws, size, size, 3) uint8 for the images of a batch, and the block in which it lies."""
    return _room((views, draws, size, size, 3), blocks)


def joined_draws(
    pixels: torch.Tensor, latents: torch.Tensor, labels: torch.Tensor, block: Block | None
) -> DrawBatch:
    """One batch of draws whose images are there already.

    Args:
        pixels: (views, draws, size, size, 3) uint8, as ``draw_room`` gives it.
        latents: (views, draws, number of latents) float64.
        labels: (draws,) int64.
        block: The block that ``draw_room`` gave.
    """
    return DrawBatch(_channels_first(pixels), latents, labels, block)


def collate_views(views: Sequence[View], size: int, start: int, blocks: Blocks | None = None) -> ViewBatch:
    """One batch, which starts at the place ``start`` of a split; all else as ``collate_draws``."""
    pixels, block = image_room(len(views), size, blocks)
    _decode(views, pixels)
    return batch_of_views(views, pixels, start, block)


def image_room(count: int, size: int, blocks: Blocks | None = None) -> tuple[torch.Tensor, Block | None]:
    """Uninitialised (count, size, size, 3) uint8 for the images of a batch, and the block in which it lies."""
    return _room((count, size, size, 3), blocks)


def batch_of_views(
    views: Sequence[View], pixels: torch.Tensor, start: int, block: Block | None = None
) -> ViewBatch:
    """One batch of images that are there already; a view may occur several times.

    Args:
        views: what each image is of.
        pixels: (views, size, size, 3) uint8, as ``image_room`` gives it.
        start: the place of the first image.
        block: The block that ``image_room`` gave.
    """
    names = [(view.metadata.synset, view.metadata.object) for view in views]
    return ViewBatch(_channels_first(pixels), _latents(views), _labels(views), start, names, block)


def _room(shape: tuple[int, ...], blocks: Blocks | None) -> tuple[torch.Tensor, Block | None]:
    """Uninitialised uint8; in a loader worker, in memory that it shares with the training process.

    What is not there yet would be copied there on its way, as ``torch.utils.data.default_collate`` knows.
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
    """Each image into its place in (views, size, size, 3)."""
    for view, place in zip(views, pixels.numpy(), strict=True):
        view.pixels(out=place)


def _latents(views: Sequence[View]) -> torch.Tensor:
    return torch.from_numpy(np.array([view.metadata.latents for view in views], dtype=np.float64))


def _labels(views: Sequence[View]) -> torch.Tensor:
    return torch.tensor([view.metadata.label for view in views])


def _channels_first(pixels: torch.Tensor) -> torch.Tensor:
    """(..., height, width, 3) as (..., 3, height, width), which stays as it is in memory."""
    return pixels.movedim(-1, -3)


def _pinned(views: torch.Tensor) -> torch.Tensor:
    return _channels_first(views.movedim(-3, -1).pin_memory())
