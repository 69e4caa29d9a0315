"""Runs probes with layers of the same widths as one network of stacked weights."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ProbeStack(nn.Module):
    """Probes with layers of the same widths, whose weights are stacked.

    Each probe starts as ``nn.Linear`` layers do right after ``torch.manual_seed(0)``. Probes with fewer outputs than the
    widest have columns that no loss reaches.

    Args:
        width: Number of inputs of each probe.
        hidden: Widths of the hidden layers; empty for linear probes.
        outputs: Number of outputs of each probe.
    """

    def __init__(self, width: int, hidden: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        widest = max(outputs)
        started = [_layers((width, *hidden, count)) for count in outputs]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for number in range(len(hidden) + 1):
            layers = [probe[number] for probe in started]
            padding = [widest - count if number == len(hidden) else 0 for count in outputs]
            pairs = list(zip(layers, padding, strict=True))
            self.weights.append(torch.stack([F.pad(layer.weight.T, (0, more)) for layer, more in pairs]))
            self.biases.append(torch.stack([F.pad(layer.bias, (0, more))[None] for layer, more in pairs]))

    def forward(self, inputs: Tensor) -> Tensor:
        """Applies each probe to its own rows of ``inputs`` (probes, batch, width); returns (probes, batch, widest output)."""
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            inputs = torch.baddbmm(bias, F.relu(inputs) if number else inputs, weight)
        return inputs


def _layers(widths: Sequence[int]) -> list[nn.Linear]:
    """Makes linear layers as they start right after ``torch.manual_seed(0)``, without changing the global generator."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return [
            nn.Linear(width_in, width_out).requires_grad_(False) for width_in, width_out in pairwise(widths)
        ]
