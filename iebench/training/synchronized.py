"""Batch norm whose statistics are those of the whole batch, over all processes that share it."""

from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iebench.methods.parts.gather import world_size

Statistics = tuple[Tensor, Tensor]
"""Mean and biased variance of each channel over the whole batch, (channels,) each."""


def synchronize_batch_norm(network: nn.Module) -> nn.Module:
    """Replaces each batch norm of a network by a synchronized one with the same parameters, buffers and names.

    The network is changed in place. A batch norm itself is not changed; its replacement is returned.
    """
    if isinstance(network, _BatchNorm):
        return SynchronizedBatchNorm.like(network)
    for name, child in network.named_children():
        setattr(network, name, synchronize_batch_norm(child))
    return network


class SynchronizedBatchNorm(_BatchNorm):
    """Batch norm over shares of one size in all processes, for CPU and CUDA alike.

    A forward pass takes one exchange of 2 x channels numbers between the processes, and a backward pass another.
    Nothing waits for the device, and torch.compile takes it whole.

    Attributes:
        notes: List to which the statistics of each forward pass are added; None notes nothing.
        known: Statistics to take instead of asking the other processes; None asks them.
        is_explicit: Whether a single process, too, computes statistics and output in two steps. PyTorch's own batch
            norm hands running statistics to its backward pass, which torch.compile then finds changed by a second call.
    """

    is_explicit = False
    notes: list[Statistics] | None = None
    known: Iterator[Statistics] | None = None

    @classmethod
    def like(cls, other: _BatchNorm) -> "SynchronizedBatchNorm":
        """Creates a synchronized batch norm that shares the parameters and buffers of another batch norm."""
        synchronized = cls(
            other.num_features, other.eps, other.momentum, other.affine, other.track_running_stats
        )
        synchronized._parameters = other._parameters
        synchronized._buffers = other._buffers
        return synchronized.train(other.training)

    def forward(self, rows: Tensor) -> Tensor:
        """Normalizes rows (batch, channels, ...) in their own type; statistics are computed in float32 or wider."""
        if not self.training or (world_size() == 1 and not self.is_explicit):
            return super().forward(rows)
        statistics = next(self.known) if self.known is not None else batch_statistics(rows)
        if self.notes is not None:
            self.notes.append(statistics)
        if self.track_running_stats and self.known is None:
            self._track(*statistics, rows.numel() // rows.shape[1] * world_size())
        return _Normalized.apply(rows, *statistics, self.weight, self.bias, self.eps)

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Updates the running statistics as PyTorch does, with the unbiased variance."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)
        momentum = (
            (1 / self.num_batches_tracked).to(self.running_mean) if self.momentum is None else self.momentum
        )
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), momentum)

    def _check_input_dim(self, rows: Tensor) -> None:
        """Accepts every shape whose second dimension is channels."""


@torch.no_grad()
def batch_statistics(rows: Tensor) -> Statistics:
    """Computes the statistics of a batch that is spread over the processes, by one exchange.

    ``rows`` (batch, channels, ...) is this process's share, and statistics are (channels,), float32 at least.
    The variance of the whole is the mean of the shares' variances and of their means' squared distances from the
    whole mean; means of squares would lose digits. Rows 1, 3 in one process and 5, 7 in another have means 2 and 6 and
    variances 1 and 1: the mean of the whole is 4, its variance (1 + 1) / 2 + (4 + 4) / 2 = 5.
    """
    share = torch.stack(torch.var_mean(_widened(rows), _all_but_channels(rows), correction=0))
    if world_size() == 1:
        return share[1], share[0]
    shares = share.new_empty((world_size(), *share.shape))
    dist.all_gather_into_tensor(shares.flatten(0, 1), share)
    variances, means = shares.unbind(1)
    mean = means.mean(dim=0)
    return mean, (variances + (means - mean).square()).mean(dim=0)


class _Normalized(torch.autograd.Function):
    """weight (x - mean) / sqrt(variance + eps) + bias, whose gradient goes through the statistics of all processes.

    With z = (x - mean) / sqrt(variance + eps) and g the gradient of the output times weight, means over the whole
    batch, the gradient of x is (g - mean(g) - z mean(g z)) / sqrt(variance + eps).
    """

    @staticmethod
    def forward(
        context: Any,
        rows: Tensor,
        mean: Tensor,
        variance: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        eps: float,
    ) -> Tensor:
        context.save_for_backward(rows, mean, variance, weight)
        context.eps = eps
        return F.batch_norm(rows, mean, variance, weight, bias, False, 0.0, eps)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        rows, mean, variance, weight = context.saved_tensors
        shape = [1, -1, *[1] * (rows.ndim - 2)]
        axes = _all_but_channels(rows)
        scale = torch.rsqrt(variance + context.eps)
        wide = _widened(gradient)
        normalized = (_widened(rows) - mean.view(shape)) * scale.view(shape)
        sums = torch.stack((wide.sum(axes), (wide * normalized).sum(axes)))
        total = sums.clone()
        if world_size() > 1:
            dist.all_reduce(total)
        mean_gradient, mean_product = (total / (rows.numel() // rows.shape[1] * world_size())).unbind()
        centered = wide - mean_gradient.view(shape) - normalized * mean_product.view(shape)
        factor = scale if weight is None else scale * weight
        of_rows = (centered * factor.view(shape)).to(rows.dtype)
        of_weight, of_bias = (None, None) if weight is None else (sums[1].to(weight), sums[0].to(weight))
        return of_rows, None, None, of_weight, of_bias, None


def _all_but_channels(rows: Tensor) -> list[int]:
    return [axis for axis in range(rows.ndim) if axis != 1]


def _widened(rows: Tensor) -> Tensor:
    return rows.float() if rows.dtype in (torch.bfloat16, torch.float16) else rows
