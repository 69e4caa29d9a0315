"""Activation checkpointing: activations are computed again in the backward pass instead of being kept."""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from iebench.training.synchronized import Statistics, SynchronizedBatchNorm, synchronize_batch_norm


class RecomputedSequential(nn.Sequential):
    """A sequence of blocks that keeps only their inputs, and computes each block again in the backward pass.

    Loss and gradients are those of ``nn.Sequential``. The second computation takes the batch norms' statistics of the
    whole batch from the first, so it asks no other process, and leaves the running statistics alone.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Applies the blocks one after the other."""
        for block in self:
            input = _recomputed(block, input) if torch.is_grad_enabled() else block(input)
        return input


def recompute_stages(backbone: nn.Module, compiled: bool = False) -> None:
    """Makes a backbone compute its blocks again in the backward pass, without renaming parameters.

    The blocks are those of the four stages of a ResNet, or the layers of a vision transformer. ``compiled`` says whether
    torch.compile will compile the network.
    """
    if compiled:
        for module in synchronize_batch_norm(backbone).modules():
            if isinstance(module, SynchronizedBatchNorm):
                module.is_explicit = True
    parent: nn.Module = getattr(backbone, "encoder", backbone)
    for name, stage in list(parent.named_children()):
        if type(stage) is nn.Sequential and (name == "layers" or name.startswith("layer")):
            setattr(parent, name, RecomputedSequential(OrderedDict(stage.named_children())))


def _recomputed(block: nn.Module, input: Tensor) -> Tensor:
    # torch.compile takes the second computation into the backward graph, where nothing changes a buffer.
    if torch.compiler.is_compiling():
        return checkpoint(block, input, use_reentrant=False, preserve_rng_state=False)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
        taken: list[Statistics] = []
        return _first_time(norms, taken), _second_time(norms, taken)

    return checkpoint(block, input, use_reentrant=False, preserve_rng_state=False, context_fn=contexts)


@contextmanager
def _first_time(norms: list[_BatchNorm], taken: list[Statistics]) -> Iterator[None]:
    """Records the statistics that synchronized batch norms compute, in the order of the norms."""
    synchronized = [norm for norm in norms if isinstance(norm, SynchronizedBatchNorm)]
    for norm in synchronized:
        norm.notes = taken
    try:
        yield
    finally:
        for norm in synchronized:
            norm.notes = None


@contextmanager
def _second_time(norms: list[_BatchNorm], taken: list[Statistics]) -> Iterator[None]:
    """Gives the recorded statistics to the same batch norms again, and leaves running statistics unchanged.

    With a momentum of 0 a running mean m becomes (1 - 0) m + 0 x = m.
    """
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    known = iter(taken)
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
        if isinstance(norm, SynchronizedBatchNorm):
            norm.known = known
    try:
        yield
    finally:
        for norm, momentum, tracked in before:
            norm.momentum, norm.num_batches_tracked = momentum, tracked
            if isinstance(norm, SynchronizedBatchNorm):
                norm.known = None
