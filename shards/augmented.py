"""Makes batches of augmented views while shards are read: each draw is several augmentations of one stored view."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch

from shards.batches import DrawBatch, allocate_images, channels_first
from shards.blocks import Blocks
from shards.reader import View


class ViewMaker(Protocol):
    """An augmentation that makes the views of a draw from one stored view. Loader workers need it to be picklable."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the augmentation's parameters, which are appended to the stored latents."""

    @property
    def size(self) -> int:
        """Height and width of a view in pixels."""

    def make(self, view: View, epoch: int, out: np.ndarray) -> np.ndarray:
        """Makes the views of a draw and returns the parameters that they were made with.

        Args:
            view: Stored view.
            epoch: Number of earlier draws of this object.
            out: (views, size, size, 3) uint8 array to write the views into.

        Returns:
            (views, number of parameters) float64 array of parameters.
        """


def collate_made(
    sources: Sequence[tuple[View, int]], count: int, maker: ViewMaker, blocks: Blocks | None = None
) -> DrawBatch:
    """Makes one batch of draws from stored views.

    Args:
        sources: Stored view of each draw, with the number of earlier draws of its object.
        count: Number of views in a draw.
        maker: Augmentation that makes the views of a draw.
        blocks: Shared memory that a loader worker writes images into; None to use ordinary memory.
    """
    pixels, block = allocate_images((count, len(sources), maker.size, maker.size, 3), blocks)
    latents = np.empty((count, len(sources), len(sources[0][0].metadata.latents) + len(maker.names)))
    images = pixels.numpy()
    for number, (view, epoch) in enumerate(sources):
        stored = view.metadata.latents
        latents[:, number, : len(stored)] = stored
        latents[:, number, len(stored) :] = maker.make(view, epoch, images[:, number])
    labels = torch.tensor([view.metadata.label for view, _ in sources])
    return DrawBatch(channels_first(pixels), torch.from_numpy(latents), labels, block=block)
