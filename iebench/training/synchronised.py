"""Batch norm by the statistics of the whole batch, over however many processes it is spread."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from iebench.methods.parts.gather import gather, world_size


def synchronise_batch_norm(network: nn.Module, device: torch.device) -> nn.Module:
    """A network whose batch norms are synchronised; parameters, buffers and their names stay what they are.

    On CUDA these are PyTorch's own, which exist for GPUs only.

    Args:
        network: changed in place, unless it is a batch norm itself.
        device: on which it will run.
    """
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(network)
    if isinstance(network, _BatchNorm):
        return SynchronisedBatchNorm.like(network)
    for name, child in network.named_children():
        setattr(network, name, synchronise_batch_norm(child, device))
    return network


class SynchronisedBatchNorm(_BatchNorm):
    """Batch norm in plain tensor operations, for shares of one size in all processes."""

    @classmethod
    def like(cls, other: _BatchNorm) -> "SynchronisedBatchNorm":
        """One with the very parameters and buffers of another batch norm."""
        synchronised = cls(
            other.num_features, other.eps, other.momentum, other.affine, other.track_running_stats
        )
        synchronised._parameters = other._parameters
        synchronised._buffers = other._buffers
        return synchronised.train(other.training)

    def forward(self, rows: Tensor) -> Tensor:
        """Normalises (batch, dimension, ...); the exact adjoint of ``gather`` carries the gradients."""
        if not self.training or world_size() == 1:
            return super().forward(rows)
        others = [axis for axis in range(rows.ndim) if axis != 1]
        shares = gather(torch.stack(torch.var_mean(rows, others, correction=0))[None])
        variances, means = shares.unbind(1)
        mean = means.mean(dim=0)
        variance = (variances + (means - mean).square()).mean(dim=0)
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach(), rows.numel() // rows.shape[1] * world_size())

        shape = [1, -1, *[1] * (rows.ndim - 2)]
        scale = torch.rsqrt(variance + self.eps)
        if self.affine:
            scale = scale * self.weight
        normalised = (rows - mean.view(shape)) * scale.view(shape)
        return normalised + self.bias.view(shape) if self.affine else normalised

    def _track(self, mean: Tensor, variance: Tensor, count: int) -> None:
        """Moves the running statistics, the variance unbiased, as PyTorch does."""
        assert self.running_mean is not None and self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        momentum = 1 / self.num_batches_tracked.item() if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), momentum)
        self.running_var.lerp_((variance * count / (count - 1)).to(self.running_var), momentum)

    def _check_input_dim(self, rows: Tensor) -> None:
        """Any shape with channels in the second place will do."""
