"""Optimizers against their formulas, and learning rates over a training."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from iebench.recipes.recipe import Recipe, load_recipe
from iebench.training.optimizers import (
    LARS,
    build_optimizer,
    clip_gradients,
    learning_rate,
    set_learning_rate,
)
from shards.errors import UsageError


class Network(nn.Module):
    """A convolution, a norm layer, a matrix that starts at zero, and an online head."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
        nn.init.zeros_(self.layers[3].weight)
        self.online = nn.Linear(4, 3)


def recipe(*overrides: str) -> Recipe:
    return load_recipe("sie", [f"optimizer.{override}" for override in overrides])


def network() -> Network:
    torch.manual_seed(0)
    return Network().double()


def set_gradients(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for value in model.parameters():
        value.grad = torch.randn(value.shape, generator=generator, dtype=value.dtype)


def values(model: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in model.named_parameters()}


def test_lars_is_the_formula_of_the_paper_for_every_layer():
    model, rate, decay, momentum, trust = network(), 0.7, 0.02, 0.9, 1e-3
    optimizer = build_optimizer(model, recipe("name=lars", f"lr={rate}", f"weight_decay={decay}"))
    expected, velocity = values(model), {}
    for seed in range(3):
        set_gradients(model, seed)
        gradients = {name: value.grad.numpy() for name, value in model.named_parameters()}
        optimizer.step()
        for name in [name for name in expected if name.startswith("layers")]:
            weight, move = expected[name], gradients[name]
            if name in ("layers.0.weight", "layers.3.weight"):  # the others are biases and the norm layer
                move = move + decay * weight
                length = math.sqrt((weight**2).sum())
                move = move * (trust * length / math.sqrt((move**2).sum()) if length else 1.0)
            velocity[name] = momentum * velocity.get(name, 0.0) + rate * move
            expected[name] = weight - velocity[name]
        for name, value in values(model).items():
            if name.startswith("layers"):
                np.testing.assert_allclose(value, expected[name], rtol=1e-12, err_msg=name)


def test_the_learning_rate_is_inside_the_momentum_of_lars():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    optimizer = LARS([{"params": [weight], "adapted": False}], lr=1.0, momentum=0.5)
    weight.grad = torch.tensor([1.0, 0.0])
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.0
    optimizer.step()
    assert weight.tolist() == [3.0 - 1.0 - 0.5, 4.0]  # what was learned at rate 1 still moves it


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars"])
def test_online_heads_learn_by_adam_at_their_own_rate_beside_any_optimizer(name: str):
    moved = []
    for other in ("adam", name):
        model = network()
        optimizer = build_optimizer(model, recipe(f"name={other}", "lr=0.5"))
        for seed in range(3):
            set_gradients(model, seed)
            set_learning_rate(optimizer, 0.25)
            optimizer.step()
        assert [group["lr"] for group in optimizer.param_groups][-1] == 1e-3
        assert {group["lr"] for group in optimizer.param_groups[:-1]} == {0.25}
        moved.append(values(model))
    np.testing.assert_array_equal(moved[0]["online.weight"], moved[1]["online.weight"])
    assert np.array_equal(moved[0]["layers.0.weight"], moved[1]["layers.0.weight"]) is (name == "adam")


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lars"])
def test_any_optimizer_goes_on_from_its_saved_state(name: str):
    whole, parts = network(), network()
    optimizer = build_optimizer(whole, recipe(f"name={name}", "lr=0.1"))
    first = build_optimizer(parts, recipe(f"name={name}", "lr=0.1"))
    second = build_optimizer(parts, recipe(f"name={name}", "lr=0.1"))
    for seed in range(4):
        set_gradients(whole, seed)
        optimizer.step()
        if seed == 2:
            second.load_state_dict(first.state_dict())
        set_gradients(parts, seed)
        (first if seed < 2 else second).step()
    for key, value in values(whole).items():
        np.testing.assert_array_equal(value, values(parts)[key], err_msg=key)


def test_clipping_scales_all_trained_gradients_and_no_head():
    model = network()
    optimizer = build_optimizer(model, recipe("name=sgd"))
    set_gradients(model, 0)
    before = {name: value.grad.clone() for name, value in model.named_parameters()}
    clip_gradients(optimizer, None)
    assert all(torch.equal(value.grad, before[name]) for name, value in model.named_parameters())
    clip_gradients(optimizer, 0.5)
    trained = [value.grad.flatten() for value in model.layers.parameters()]
    assert torch.linalg.vector_norm(torch.cat(trained)).item() == pytest.approx(0.5, rel=1e-5)
    assert torch.equal(model.online.weight.grad, before["online.weight"])
    ratio = model.layers[0].weight.grad / before["layers.0.weight"]
    torch.testing.assert_close(ratio, torch.full_like(ratio, ratio.flatten()[0].item()))


def test_the_cosine_schedule_warms_up_and_ends_at_the_final_rate():
    config = recipe("schedule=cosine", "warmup_steps=10", "lr=0.5", "final_lr=0.1").optimizer
    rates = [learning_rate(config, step, 110) for step in range(111)]
    assert rates[:10] == pytest.approx([0.05 * number for number in range(1, 11)])
    assert rates[10] == 0.5
    assert rates[60] == pytest.approx(0.3)  # half way down
    assert rates[110] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_warmup_in_epochs_is_as_long_as_its_steps():
    in_epochs, in_steps = (
        recipe("schedule=cosine", word).optimizer for word in ("warmup_epochs=1.5", "warmup_steps=6")
    )
    rates = [[learning_rate(config, step, 40, 4.0) for step in range(40)] for config in (in_epochs, in_steps)]
    assert rates[0] == rates[1]


def test_the_published_learning_rate_is_constant():
    assert {learning_rate(recipe().optimizer, step, 100) for step in range(100)} == {1e-3}


def test_a_warmup_in_steps_and_in_epochs_is_one_sentence():
    with pytest.raises(UsageError, match="optimizer: warmup_steps and warmup_epochs"):
        recipe("warmup_steps=5", "warmup_epochs=1.0")
