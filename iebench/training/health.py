"""Detection of losses and gradients that are NaN or infinite."""

import torch
from torch import Tensor

from iebench.training.optimizers import gradient_norm, trained_parameters
from iebench.training.state import TrainingState
from shards.errors import IebenchError

OVERFLOWS = 20
"""Number of consecutive steps whose gradients may overflow in float16, while the loss scale falls from 65,536."""


class Health:
    """Checks the loss and the gradients of every step on the device, and sends the result to the CPU only when asked."""

    def __init__(self, state: TrainingState) -> None:
        self._trained = trained_parameters(state.model)
        self._heads = list(state.model.online.parameters())
        self._tolerance = OVERFLOWS if state.precision.dtype is torch.float16 else 0
        device = state.precision.device
        self._overflows = torch.zeros((), dtype=torch.int64, device=device)
        self._good = torch.ones((), dtype=torch.int64, device=device)
        self._good_steps = torch.zeros((), dtype=torch.int64, device=device)
        self._first = state.step + 1

    @torch.no_grad()
    def check(self, loss: Tensor) -> None:
        """Checks a step between its backward pass and its update, without waiting for the device.

        After a bad step, all later steps count as bad.
        """
        is_finite = torch.isfinite(gradient_norm(self._trained) + gradient_norm(self._heads))
        self._overflows = torch.where(is_finite, 0, self._overflows + 1)
        self._good *= torch.isfinite(loss.detach()) & (self._overflows <= self._tolerance)
        self._good_steps += self._good

    def first_bad_step(self) -> int | None:
        """Returns the number of the first step that was not finite, or None if all were. Waits for the device."""
        return None if self._good.item() else self._first + int(self._good_steps.item())


class Diverged(IebenchError):
    """Raised if the loss or its gradient is NaN or infinite."""
