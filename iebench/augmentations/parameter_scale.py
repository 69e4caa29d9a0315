"""Standardizes parameters of augmentations for predictors: minus their mean, over their standard deviation."""

import torch
from torch import Tensor, nn

from iebench.augmentations.parameters import PARAMETERS


class ParameterScale(nn.Module):
    """Standardizes the parameters of augmentations, which are the last latents of a view.

    The statistics are in double precision and part of a checkpoint. Before they are set, nothing changes.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(len(PARAMETERS), dtype=torch.float64))
        self.register_buffer("std", torch.ones(len(PARAMETERS), dtype=torch.float64))

    def set(self, mean: Tensor, std: Tensor) -> None:
        """Sets mean and standard deviation (18,) of the parameters; a parameter that never varies becomes 0."""
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-9, std, torch.ones_like(std)))

    def forward(self, latents: Tensor) -> Tensor:
        """Returns latents (batch, latents) with the last 18 standardized."""
        stored = latents.shape[1] - len(PARAMETERS)
        return torch.cat((latents[:, :stored], (latents[:, stored:] - self.mean) / self.std), dim=1)
