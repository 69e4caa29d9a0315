"""Losses and gradients that are no finite numbers, found on the device."""

import pytest
import torch
from torch import nn

from iebench.training.health import OVERFLOWS, Health
from iebench.training.optimizers import gradient_norm


class State:
    """A model of two weights, one of them a head's."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        self.model = nn.ModuleDict(
            {"backbone": nn.Linear(2, 1, bias=False), "online": nn.Linear(1, 1, bias=False)}
        )
        self.model.online = self.model["online"]
        self.precision = type("Precision", (), {"dtype": dtype, "device": torch.device("cpu")})
        self.step = 10

    def gradients(self, backbone: float, head: float = 0.0) -> None:
        for name, value in (("backbone", backbone), ("online", head)):
            weight = self.model[name].weight
            weight.grad = torch.full_like(weight, value)


NAN, INFINITY = float("nan"), float("inf")


def test_good_steps_have_nothing_to_say():
    state = State()
    health = Health(state)
    state.gradients(3.0, head=100.0)
    health.check(torch.tensor(1.0))
    assert health.first_bad_step() is None


@pytest.mark.parametrize(
    ("loss", "backbone", "head"), [(NAN, 1.0, 1.0), (1.0, INFINITY, 1.0), (1.0, 1.0, NAN), (1.0, 1e30, 1.0)]
)
def test_the_first_bad_step_is_told_whatever_follows(loss: float, backbone: float, head: float):
    state = State()
    health = Health(state)
    for step in (11, 12, 13, 14):
        bad = step == 13
        state.gradients(backbone if bad else 1.0, head if bad else 1.0)
        health.check(torch.tensor(loss if bad else 1.0))
    assert health.first_bad_step() == 13


def test_in_float16_gradients_may_overflow_for_some_steps_while_the_scale_comes_down():
    state = State(torch.float16)
    health = Health(state)
    for _ in range(OVERFLOWS):
        state.gradients(INFINITY)
        health.check(torch.tensor(1.0))
    assert health.first_bad_step() is None
    health.check(torch.tensor(1.0))
    assert health.first_bad_step() == 10 + OVERFLOWS + 1


def test_the_norm_is_of_all_gradients_together_and_zero_without_any():
    weight = nn.Parameter(torch.ones(2))
    assert gradient_norm([weight]) == 0
    weight.grad = torch.full((2,), 3.0)
    assert gradient_norm([weight]) == pytest.approx(18**0.5)
