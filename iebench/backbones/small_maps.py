"""Convolutions of maps of a few pixels as products of matrices, which a CPU computes faster."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

SMALL = 4
"""Largest height and width of an output for which the gradient of the weights is a product."""
TINY = 2
"""Largest height and width of an output that is a product itself, as is the gradient of the input. The last stage of a
ResNet has 2 x 2 pixels at 64 px, the one before it 4 x 4."""

Pair = tuple[int, ...]
"""Rows and columns."""


class SmallMapConv2d(nn.Conv2d):
    """A convolution that multiplies matrices on the CPU where its output is small.

    oneDNN is made for maps of many pixels; of few, a product of matrices gives the gradient of the weights faster
    (benchmarks/RESULTS.md, "Training: small maps on the CPU"). Parameters, their names and results are those of ``Conv2d``, apart from rounding.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if bias is not None or not self._is_small(input):
            return super()._conv_forward(input, weight, bias)
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            input, weight = input.to(dtype), weight.to(dtype)
        output: Tensor = _Products.apply(input, weight, self.stride, self.padding)
        return output

    def _is_small(self, input: Tensor) -> bool:
        if input.device.type != "cpu" or input.ndim != 4:
            return False
        if isinstance(self.padding, str) or self.padding_mode != "zeros":
            return False
        height, width = _output_size(input, self.weight, self.stride, self.padding)
        is_plain = self.groups == 1 and self.dilation == (1, 1)
        return is_plain and min(height, width) >= 1 and max(height, width) <= SMALL


class _Products(torch.autograd.Function):
    """A convolution, its gradient of the weights as a product, and on tiny maps all of it as products.

    Every window of the input becomes one row. With a kernel of 3, a padding of 1 and the map ``a b / c d``, the four
    rows and the column of weights are, for one channel::

        window of a:  0 0 0  0 a b  0 c d        w11
        window of b:  0 0 0  a b 0  c d 0    x   w12
        window of c:  0 a b  0 c d  0 0 0        ...
        window of d:  a b 0  c d 0  0 0 0        w33
    """

    @staticmethod
    def forward(ctx: Any, input: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(input, weight)
        ctx.stride, ctx.padding = stride, padding
        ctx.is_tiny = max(_output_size(input, weight, stride, padding)) <= TINY
        if not ctx.is_tiny:
            return F.conv2d(input, weight, None, stride, padding)
        windows = _windows(input, weight, stride, padding)
        return (windows @ _matrix(weight).t()).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        input, weight = ctx.saved_tensors
        of_input = of_weight = None
        rows = gradient.permute(0, 2, 3, 1)  # (batch, y, x, channels out)
        if ctx.needs_input_grad[0] and not ctx.is_tiny:
            of_input = conv2d_input(input.shape, weight, gradient, ctx.stride, ctx.padding)
        elif ctx.needs_input_grad[0]:
            of_windows = (rows @ _matrix(weight)).unflatten(3, (*weight.shape[2:], -1))
            of_input = _sum_of_windows(of_windows, input.shape, ctx.stride, ctx.padding)
        if ctx.needs_input_grad[1]:
            windows = _windows(input, weight, ctx.stride, ctx.padding)
            product = rows.flatten(0, 2).t() @ windows.flatten(0, 2)
            of_weight = product.unflatten(1, (*weight.shape[2:], -1)).permute(0, 3, 1, 2)
        return of_input, of_weight, None, None


def _output_size(input: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Pair:
    """Returns height and width of a convolution's output; zero or less if the kernel does not fit the input."""
    (rows, columns), (above, left) = weight.shape[2:], padding
    height, width = input.shape[2:]
    return (height + 2 * above - rows) // stride[0] + 1, (width + 2 * left - columns) // stride[1] + 1


def _matrix(weight: Tensor) -> Tensor:
    """Returns weights (out, in, rows, columns) as (out, rows * columns * in)."""
    return weight.permute(0, 2, 3, 1).flatten(1)


def _windows(input: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    """Returns the windows of maps as (batch, y, x, rows * columns * channels)."""
    (above, left), (rows, columns) = padding, weight.shape[2:]
    padded = F.pad(input.permute(0, 2, 3, 1), (0, 0, left, left, above, above))
    windows = padded.unfold(1, rows, stride[0]).unfold(2, columns, stride[1])
    return windows.permute(0, 1, 2, 4, 5, 3).flatten(3)


def _sum_of_windows(windows: Tensor, shape: torch.Size, stride: Pair, padding: Pair) -> Tensor:
    """Adds windows (batch, y, x, rows, columns, channels) up in maps of a shape (batch, channels, height, width)."""
    batch, channels, height, width = shape
    (down, right), (above, left) = stride, padding
    padded = windows.new_zeros(batch, height + 2 * above, width + 2 * left, channels)
    for row in range(windows.shape[3]):
        for column in range(windows.shape[4]):
            below, beside = row + down * windows.shape[1], column + right * windows.shape[2]
            padded[:, row:below:down, column:beside:right] += windows[:, :, :, row, column]
    return padded[:, above : above + height, left : left + width].permute(0, 3, 1, 2)


def multiply_small_maps(network: nn.Module) -> nn.Module:
    """Makes every ``Conv2d`` of a network a ``SmallMapConv2d`` in place; parameters and their names stay.

    Args:
        network: Network of torchvision, whose convolutions are of the class ``Conv2d`` itself.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = SmallMapConv2d
    return network
