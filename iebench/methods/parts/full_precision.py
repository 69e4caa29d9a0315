"""Runs computations in float32, whatever the precision of the backbone."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import torch
from torch import Tensor

P = ParamSpec("P")


def in_float32(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Makes a function of tensors run without autocast or TF32, on tensors of float32 at least, as a decorator."""

    @wraps(function)
    def computed(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        device = next(value.device.type for value in args if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False), _exact_products():
            return function(*map(_widened, args), **kwargs)  # type: ignore[arg-type]

    return computed


@contextmanager
def _exact_products() -> Iterator[None]:
    """Multiplies float32 without TF32, whose 10 bits would turn a rotation by hundredths of a degree."""
    before = torch.get_float32_matmul_precision()
    if before == "highest":
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def _widened(value: object) -> object:
    if isinstance(value, Tensor) and value.dtype in (torch.bfloat16, torch.float16):
        return value.float()
    return value
