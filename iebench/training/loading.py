"""From shards to the device: what a process reads of each batch, and its parts joined on the device."""

from pathlib import Path

import torch
from torch import Tensor

from iebench.recipes.recipe import TrainingConfig
from iebench.training.online import Views
from iebench.training.processes import Processes
from shards.batches import Pair
from shards.schema import DatasetIndex
from shards.stream import PairSettings, PairStream


def pair_stream(config: TrainingConfig, index: DatasetIndex, data: Path, processes: Processes) -> PairStream:
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
    return PairStream(data, index, "train", settings, processes.rank, processes.count)


def on_device(parts: tuple[Pair, ...], device: torch.device) -> tuple[Views, Views, Tensor]:
    """Views, latents and labels of one batch on ``device``; latents stay float64."""

    def joined(tensors: list[Tensor]) -> Tensor:
        moved = [tensor.to(device, non_blocking=True) for tensor in tensors]
        return moved[0] if len(moved) == 1 else torch.cat(moved)

    views, latents = (
        (joined([pair[0] for pair in pairs]), joined([pair[1] for pair in pairs]))
        for pairs in ([part.views for part in parts], [part.latents for part in parts])
    )
    return views, latents, joined([part.labels for part in parts])
