"""Optimizers, the schedule of the learning rate, and gradient clipping."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from iebench.recipes.recipe import OptimizerConfig, Recipe
from iebench.training.model import Model


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling (You et al., arXiv 1708.03888), SGD whose steps are scaled layer by layer.

    A weight w with gradient g, decay b, momentum m, learning rate r and trust coefficient e is updated by::

        d = g + b w,    v = m v + r e |w| / |d| d,    w = w - v

    By default e is the paper's, 1e-3. Groups with ``adapted=False`` (biases and norm layers) take plain SGD with
    momentum, without decay: v = m v + r g.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        lr: float,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        trust_coefficient: float = 1e-3,
    ) -> None:
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "trust_coefficient": trust_coefficient,
            "adapted": True,
        }
        super().__init__(groups, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Updates all weights that have a gradient, without waiting for the device."""
        for group in self.param_groups:
            weights = [value for value in group["params"] if value.grad is not None]
            if not weights:
                continue
            moves = [value.grad for value in weights]
            if group["adapted"]:
                moves = _scaled(weights, moves, group["weight_decay"], group["trust_coefficient"])
            buffers = [self._buffer(value) for value in weights]
            torch._foreach_mul_(buffers, group["momentum"])
            torch._foreach_add_(buffers, moves, alpha=group["lr"])
            torch._foreach_sub_(weights, buffers)

    def _buffer(self, weight: Tensor) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        return state["momentum_buffer"]


def _scaled(weights: list[Tensor], gradients: list[Tensor], decay: float, trust: float) -> list[Tensor]:
    """Adds decay, and scales each layer's step to a share of its weights' norm unless a norm is 0."""
    moves = torch._foreach_add(gradients, weights, alpha=decay)
    lengths, steps = (torch.stack(list(torch._foreach_norm(values))) for values in (weights, moves))
    ratios = torch.where((lengths > 0) & (steps > 0), trust * lengths / steps, 1.0)
    return list(torch._foreach_mul(moves, list(ratios.unbind())))


class CombinedOptimizer(Optimizer):
    """Combines optimizers that share no parameter into one with the parameter groups of all of them in order."""

    def __init__(self, optimizers: Sequence[Optimizer]) -> None:
        self._optimizers = optimizers
        super().__init__([group for optimizer in optimizers for group in optimizer.param_groups], {})
        self._share()

    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Takes a step with each optimizer."""
        for optimizer in self._optimizers:
            optimizer.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads the state of all optimizers."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        """Lets each optimizer use this one's parameter groups and state, so that a change in one is seen by the other."""
        groups = iter(self.param_groups)
        for optimizer in self._optimizers:
            optimizer.param_groups = [next(groups) for _ in optimizer.param_groups]
            optimizer.state = self.state


def trained_parameters(model: Model) -> list[nn.Parameter]:
    """Lists the parameters that the method trains: all but those of the online heads."""
    heads = set(model.online.parameters())
    return [value for value in model.parameters() if value.requires_grad and value not in heads]


def build_optimizer(model: Model, recipe: Recipe) -> Optimizer:
    """Builds the recipe's optimizer with Adam for the online heads, which are the last parameter group.

    PyTorch's optimizers run as fused kernels.
    """
    config = recipe.optimizer
    trained = trained_parameters(model)
    heads = {"params": list(model.online.parameters()), "lr": recipe.online.lr, "weight_decay": 0.0}
    if config.name == "adam":
        group = {"params": trained, "weight_decay": config.weight_decay}
        return torch.optim.Adam([group, heads], lr=config.lr, fused=True)
    main: Optimizer
    if config.name == "adamw":
        main = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    elif config.name == "sgd":
        main = torch.optim.SGD(
            trained, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay, fused=True
        )
    else:
        groups: list[dict[str, Any]] = [
            {"params": [value for value in trained if value.ndim > 1]},
            {"params": [value for value in trained if value.ndim <= 1], "adapted": False},
        ]
        main = LARS(groups, config.lr, config.weight_decay, config.momentum, config.trust_coefficient)
    return CombinedOptimizer([main, torch.optim.Adam([heads], fused=True)])


def learning_rate(config: OptimizerConfig, step: int, steps: int, epoch_steps: float = 0.0) -> float:
    """Computes the learning rate of one step.

    It rises linearly over the warm-up to ``lr``, and then stays there, or falls along half a cosine to ``final_lr``.

    Args:
        config: Section ``[optimizer]`` of the recipe.
        step: Number of the step, counted from 0.
        steps: Number of steps in all.
        epoch_steps: Number of steps in an epoch; used if the warm-up is given in epochs.
    """
    warmup = config.warmup_steps + round(config.warmup_epochs * epoch_steps)
    if step < warmup:
        return config.lr * (step + 1) / warmup
    if config.schedule == "constant":
        return config.lr
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return config.final_lr + (config.lr - config.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Sets the learning rate of all parameter groups but the last, which holds the online heads."""
    for group in optimizer.param_groups[:-1]:
        group["lr"] = rate


def clip_gradients(optimizer: Optimizer, norm: float | None) -> Tensor:
    """Limits the norm of all gradients together, unless ``norm`` is None, without waiting for the device.

    Gradients of the online heads, the optimizer's last parameter group, are neither counted nor changed.

    Returns:
        The norm before clipping, a scalar on the device.
    """
    trained = [value for group in optimizer.param_groups[:-1] for value in group["params"]]
    return gradient_norm(trained) if norm is None else nn.utils.clip_grad_norm_(trained, norm)


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Computes the Euclidean norm of all gradients together, a scalar on their device; 0 if there are none."""
    gradients = [value.grad for value in parameters if value.grad is not None]
    if not gradients:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
