"""Detection of losses and gradients that are NaN or infinite."""

from collections.abc import Iterable

import torch
from torch import Tensor

from iebench.training.state import TrainingState
from shards.errors import IebenchError

OVERFLOWS = 20
"""Number of consecutive steps whose gradients may overflow in float16, while the loss scale falls from 65,536."""


class Health:
    """Checks the loss and the gradients of every step on the device, and sends the result to the CPU only when asked.

    Args:
        state: State of the training.

    Attributes:
        gradient_norm: Norm of the gradients of the last step without the online heads, a scalar on the device.
    """

    def __init__(self, state: TrainingState) -> None:
        model = state.model
        heads = set(model.online.parameters())
        self._trained = [value for value in model.parameters() if value.requires_grad and value not in heads]
        self._heads = list(heads)
        self._tolerance = OVERFLOWS if state.precision.dtype is torch.float16 else 0
        device = state.precision.device
        self._overflows = torch.zeros((), dtype=torch.int64, device=device)
        self._good = torch.ones((), dtype=torch.int64, device=device)
        self._good_steps = torch.zeros((), dtype=torch.int64, device=device)
        self._first = state.step + 1
        self.gradient_norm = torch.zeros((), device=device)

    @torch.no_grad()
    def check(self, loss: Tensor) -> None:
        """Checks a step between its backward pass and its update, without waiting for the device.

        After a bad step, all later steps count as bad.
        """
        self.gradient_norm = gradient_norm(self._trained)
        is_finite = torch.isfinite(self.gradient_norm + gradient_norm(self._heads))
        self._overflows = torch.where(is_finite, 0, self._overflows + 1)
        self._good *= torch.isfinite(loss.detach()) & (self._overflows <= self._tolerance)
        self._good_steps += self._good

    def first_bad_step(self) -> int | None:
        """Returns the number of the first step that was not finite, or None if all were. Waits for the device."""
        return None if self._good.item() else self._first + int(self._good_steps.item())


def gradient_norm(parameters: Iterable[Tensor]) -> Tensor:
    """Computes the Euclidean norm of all gradients together, a scalar on their device; 0 if there are none."""
    gradients = [value.grad for value in parameters if value.grad is not None]
    if not gradients:
        return torch.zeros(())
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


class Diverged(IebenchError):
    """Raised if the loss or its gradient is NaN or infinite."""
