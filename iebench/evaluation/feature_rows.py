"""Moves rows of stored features to the device, standardized by the training split."""

from typing import NamedTuple

import torch
from torch import Tensor

from iebench.evaluation.features import Features

ROWS_AT_ONCE = 4096
SHARE_OF_MEMORY = 0.6
"""Share of the free device memory that features of one split may take; larger ones stay on the host."""


class Standardization(NamedTuple):
    """Mean and standard deviation (dimension,) float32 of each column of the training features.

    A column that is constant in training is not scaled, because scaling would blow up its rounding in validation.
    """

    mean: Tensor
    deviation: Tensor


def standardization_of(representations: Tensor, device: torch.device) -> Standardization:
    """Computes the mean and standard deviation of representations (objects, views, dimension) in chunks, in float64."""
    dimension = representations.shape[-1]
    total, squares = torch.zeros(2, dimension, dtype=torch.float64)
    shift = representations[0, 0].double()
    for chunk in representations.flatten(0, 1).split(ROWS_AT_ONCE):
        centered = chunk.double() - shift
        total += centered.sum(dim=0)
        squares += centered.pow(2).sum(dim=0)
    count = representations.shape[:-1].numel()
    mean = total / count
    variance = (squares - count * mean**2).clamp(min=0) / max(1, count - 1)
    deviation = variance.sqrt()
    deviation = torch.where(deviation > 1e-6, deviation, 1.0)
    return Standardization((mean + shift).float().to(device), deviation.float().to(device))


def to_device_if_it_fits(rows: Tensor, device: torch.device) -> Tensor:
    """Returns the rows of a split on a GPU, or where they are if they would take too much of its free memory."""
    if device.type != "cuda" or rows.device == device:
        return rows
    free, _ = torch.cuda.mem_get_info(device)
    return rows.to(device) if rows.numel() * rows.element_size() < SHARE_OF_MEMORY * free else rows


class FeatureRows:
    """Gives rows of one split's features, which are on the device if they fit there and else fetched from the host."""

    def __init__(
        self, features: Features, device: torch.device, standardization: Standardization | None
    ) -> None:
        self._rows = to_device_if_it_fits(features.representations.flatten(0, 1), device)
        self._device = device
        self._standardization = standardization

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Returns the rows (rows, dimension) as float32 on the device."""
        found = self._rows[rows.to(self._rows.device)].to(self._device).float()
        if self._standardization is None:
            return found
        return (found - self._standardization.mean) / self._standardization.deviation
