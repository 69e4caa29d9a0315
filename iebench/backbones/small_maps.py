"""Convolutions of maps of a few pixels as products of matrices, which a CPU computes faster."""

import torch.nn.functional as F
from torch import Tensor, nn

LARGEST = 2
"""Largest height and width of an output that is computed as a product. The last stage of a ResNet has 2 x 2 pixels at
64 px; at 4 x 4 the copies cost more than they save (benchmarks/RESULTS.md, "Training: small maps on the CPU")."""


class SmallMapConv2d(nn.Conv2d):
    """A convolution that multiplies matrices where its output is at most 2 x 2 pixels and on the CPU.

    oneDNN is made for maps of many pixels; of four it computes the gradient of the weights at a tenth of the rate of
    a product of matrices. Every window of the input becomes one row. With a kernel of 3, a padding of 1 and the map
    ``a b / c d``, the four rows and the column of weights are, for one channel::

        window of a:  0 0 0  0 a b  0 c d        w11
        window of b:  0 0 0  a b 0  c d 0    x   w12
        window of c:  0 a b  0 c d  0 0 0        ...
        window of d:  a b 0  c d 0  0 0 0        w33

    Parameters, their names and results are those of ``Conv2d``, apart from rounding.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not self._is_small(input):
            return super()._conv_forward(input, weight, bias)
        (down, right), (above, left) = self.stride, self.padding
        rows, columns = self.kernel_size
        padded = F.pad(input, (int(left), int(left), int(above), int(above))).permute(0, 2, 3, 1)
        windows = padded.unfold(1, rows, down).unfold(
            2, columns, right
        )  # (batch, y, x, channels, rows, columns)
        products = F.linear(
            windows.permute(0, 1, 2, 4, 5, 3).flatten(3), weight.permute(0, 2, 3, 1).flatten(1), bias
        )
        return products.permute(0, 3, 1, 2)

    def _is_small(self, input: Tensor) -> bool:
        if input.device.type != "cpu" or self.kernel_size == (1, 1) or isinstance(self.padding, str):
            return False
        is_plain = self.groups == 1 and self.dilation == (1, 1) and self.padding_mode == "zeros"
        sizes = zip(input.shape[-2:], self.padding, self.kernel_size, self.stride, strict=True)
        return is_plain and all(
            0 <= (size + 2 * pad - kernel) // step < LARGEST for size, pad, kernel, step in sizes
        )


def multiply_small_maps(network: nn.Module) -> nn.Module:
    """Makes every ``Conv2d`` of a network a ``SmallMapConv2d`` in place; parameters and their names stay.

    Args:
        network: Network of torchvision, whose convolutions are of the class ``Conv2d`` itself.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d:
            module.__class__ = SmallMapConv2d
    return network
