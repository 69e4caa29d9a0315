"""Convolutions of small maps as products of matrices: the results and the parameters of ``Conv2d``."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.backbones.small_maps import SmallMapConv2d, multiply_small_maps


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [
        (2, 3, 1, 1),
        (4, 3, 2, 1),
        (3, 3, 2, 1),
        (3, (3, 2), (2, 1), (1, 0)),
        (1, 3, 1, 1),
        (4, 3, 1, 1),
        (8, 3, 2, 1),
        (4, 1, 2, 0),
        (8, 1, 2, 0),
    ],
)
def test_output_and_gradients_are_those_of_a_convolution(size, kernel, stride, padding):
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 5, kernel, stride, padding, bias=False).double()
    (products,) = multiply_small_maps(nn.Sequential(deepcopy(plain)))
    plain_input = torch.randn(3, 6, size, size, dtype=torch.float64, requires_grad=True)
    input = plain_input.detach().clone().requires_grad_()

    expected = plain(plain_input)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    output = products(input)
    assert type(output.grad_fn) is not type(expected.grad_fn)
    (output * weights).sum().backward()

    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(input.grad, plain_input.grad, rtol=1e-12, atol=1e-12)
    for one, other in zip(products.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"bias": True},
        {"groups": 2},
        {"dilation": 2, "padding": 2},
        {"padding": "same"},
        {"padding_mode": "reflect"},
    ],
)
def test_what_it_does_not_know_stays_a_convolution(options):
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 3, **{"padding": 1, "bias": False} | options)
    (products,) = multiply_small_maps(nn.Sequential(deepcopy(plain)))
    input = torch.randn(2, 4, 2, 2)
    assert torch.equal(products(input), plain(input))


def test_an_image_without_a_batch_stays_a_convolution():
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    (products,) = multiply_small_maps(nn.Sequential(deepcopy(plain)))
    input = torch.randn(4, 2, 2)
    assert torch.equal(products(input), plain(input))


def test_too_small_an_input_is_the_error_of_a_convolution():
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        SmallMapConv2d(3, 4, 3)(torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize("name", ["resnet10", "sie_resnet18"])
def test_resnets_multiply_the_maps_of_their_last_two_stages(name, monkeypatch):
    network = build_backbone(BackboneConfig(name=name, small_image_stem=False), 64)
    sizes = set()
    apply = SmallMapConv2d._conv_forward

    def seen(module, input, weight, bias):
        output = apply(module, input, weight, bias)
        is_product = type(output.grad_fn).__name__ == "_ProductsBackward"
        sizes.add((output.shape[-1], is_product))
        return output

    monkeypatch.setattr(SmallMapConv2d, "_conv_forward", seen)
    network(torch.zeros(2, 3, 64, 64, requires_grad=True))
    assert {(4, True), (2, True)} < sizes
    assert all(is_product == (size <= 4) for size, is_product in sizes)


def test_autocast_is_that_of_a_convolution():
    torch.manual_seed(0)
    plain = nn.Conv2d(8, 8, 3, padding=1, bias=False)
    (products,) = multiply_small_maps(nn.Sequential(deepcopy(plain)))
    input = torch.randn(4, 8, 2, 2)
    with torch.autocast("cpu", torch.bfloat16):
        output, expected = products(input), plain(input)
    assert output.dtype is expected.dtype is torch.bfloat16
    torch.testing.assert_close(output, expected)
    for module, result in ((products, output), (plain, expected)):
        result.float().square().sum().backward()
        assert module.weight.grad.dtype is torch.float32
    torch.testing.assert_close(products.weight.grad, plain.weight.grad, rtol=0.02, atol=0.05)
