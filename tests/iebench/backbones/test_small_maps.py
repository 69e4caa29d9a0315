"""Convolutions of small maps as products of matrices: the results and the parameters of ``Conv2d``."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.backbones.small_maps import SmallMapConv2d, multiply_small_maps


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(
    ("size", "kernel", "stride", "padding"),
    [(2, 3, 1, 1), (4, 3, 2, 1), (3, 3, 2, 1), (3, (3, 2), (2, 1), (1, 0)), (5, 5, 2, 1), (1, 3, 1, 1)],
)
def test_output_and_gradients_are_those_of_a_convolution(size, kernel, stride, padding, bias, monkeypatch):
    torch.manual_seed(0)
    plain = nn.Conv2d(6, 5, kernel, stride, padding, bias=bias).double()
    (products,) = multiply_small_maps(nn.Sequential(deepcopy(plain)))
    plain_input = torch.randn(3, 6, size, size, dtype=torch.float64, requires_grad=True)
    input = plain_input.detach().clone().requires_grad_()

    expected = plain(plain_input)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    monkeypatch.setattr(F, "conv2d", None)
    output = products(input)
    (output * weights).sum().backward()

    torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(input.grad, plain_input.grad, rtol=1e-12, atol=1e-12)
    for one, other in zip(products.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [{"groups": 2}, {"dilation": 2, "padding": 2}, {"padding": "same"}, {"padding_mode": "reflect"}],
)
def test_what_it_does_not_know_stays_a_convolution(options):
    torch.manual_seed(0)
    plain = nn.Conv2d(4, 4, 3, **{"padding": 1} | options)
    (products,) = multiply_small_maps(nn.Sequential(deepcopy(plain)))
    input = torch.randn(2, 4, 2, 2)
    assert torch.equal(products(input), plain(input))


def test_too_small_an_input_is_the_error_of_a_convolution():
    with pytest.raises(RuntimeError, match="Kernel size can't be greater"):
        SmallMapConv2d(3, 4, 3)(torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize("name", ["resnet10", "sie_resnet18"])
def test_resnets_multiply_the_maps_of_their_last_stage(name, monkeypatch):
    network = build_backbone(BackboneConfig(name=name, small_image_stem=False), 64)
    convolved = []
    convolve = F.conv2d

    def seen(input, weight, *others):
        output = convolve(input, weight, *others)
        convolved.append((weight.shape[-1], output.shape[-1]))
        return output

    monkeypatch.setattr(F, "conv2d", seen)
    with torch.no_grad():
        network(torch.zeros(2, 3, 64, 64))
    sizes = [size for kernel, size in convolved if kernel == 3]
    assert sizes
    assert min(sizes) == 4
