"""Batches of views that are made as shards are read: augmentations of one stored view, with their parameters."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import torch

from shards.batches import DrawBatch, draw_room, joined_draws
from shards.blocks import Blocks
from shards.reader import View


class ViewMaker(Protocol):
    """Makes the views of a draw out of one stored view; is handed to loader workers."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the parameters, which stand behind the stored latents."""

    @property
    def size(self) -> int:
        """Height and width of a view in pixels."""

    def make(self, view: View, epoch: int, out: np.ndarray) -> np.ndarray:
        """Makes the views of a draw.

        Args:
            view: What is stored.
            epoch: How often the object was drawn before.
            out: (views, size, size, 3) uint8 to write to.

        Returns:
            (views, number of parameters) float64.
        """


class SourceView(NamedTuple):
    """A stored view of which the views of a draw are made.

    Attributes:
        view: What is stored.
        epoch: How often its object was drawn before.
    """

    view: View
    epoch: int


def collate_made(
    sources: Sequence[SourceView], count: int, maker: ViewMaker, blocks: Blocks | None = None
) -> DrawBatch:
    """One batch of draws that are made out of stored views.

    Args:
        sources: A stored view for each draw.
        count: Number of views of a draw.
        maker: Makes them.
        blocks: The blocks of shared memory to write images into, in a loader worker; otherwise None.
    """
    pixels, block = draw_room(count, len(sources), maker.size, blocks)
    latents = np.empty((count, len(sources), len(sources[0].view.metadata.latents) + len(maker.names)))
    places = pixels.numpy()
    for number, source in enumerate(sources):
        stored = source.view.metadata.latents
        latents[:, number, : len(stored)] = stored
        latents[:, number, len(stored) :] = maker.make(source.view, source.epoch, places[:, number])
    labels = torch.tensor([source.view.metadata.label for source in sources])
    return joined_draws(pixels, torch.from_numpy(latents), labels, block)
