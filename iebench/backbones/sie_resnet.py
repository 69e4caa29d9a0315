"""The ResNets of the published SIE code (Garrido et al., ICML 2023, arXiv 2302.10283).

They differ from torchvision's in four ways, and their parameters have the published names:

- Strided convolutions pad the right and bottom edge by one pixel more than the left and top edge.
- The first block of every stage has a projection shortcut, in the first stage too.
- The second 3 x 3 convolution of a basic block has the stride, not the first.
- The last batch norm of a block starts at zero, so that every block starts as its shortcut.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from iebench.backbones.small_maps import SmallMapConv2d

STEP = 32
"""Pixels between an input and an output of the last stage: two strides before the stages and three within."""


class PaddedConv2d(SmallMapConv2d):
    """A convolution without bias that keeps the size of its input, or halves an even one.

    The kernel is odd and the stride 1 or 2. At stride 2 it pads right and bottom more than left and top. A kernel of 3
    on a row of 4 pixels ``a b c d`` then sees ``a b c`` and ``c d 0``; symmetric padding would let it see ``0 a b`` and
    ``b c d``.
    """

    def __init__(self, width_in: int, width_out: int, kernel: int, stride: int = 1) -> None:
        padding = kernel // 2 if stride == 1 else 0
        super().__init__(width_in, width_out, kernel, stride, padding, bias=False)
        before, after = ((kernel - 2) // 2, (kernel - 1) // 2) if stride == 2 and kernel > 1 else (0, 0)
        self.edges = (before, after, before, after)

    def forward(self, input: Tensor) -> Tensor:
        """Convolves inputs (batch, channels, height, width)."""
        return super().forward(F.pad(input, self.edges) if any(self.edges) else input)


class _Block(nn.Module):
    """Base class of blocks of convolutions whose output is added to the input or to a projection of it."""

    expansion: int
    first_kernel: int
    downsample: nn.Sequential | None

    def __init__(self, width_in: int, width: int, stride: int, is_first: bool) -> None:
        super().__init__()
        self.downsample = None
        if is_first:
            width_out = width * self.expansion
            self.downsample = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride, bias=False), nn.BatchNorm2d(width_out)
            )
        self.conv1 = PaddedConv2d(width_in, width, self.first_kernel)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = PaddedConv2d(width, width, 3, stride)
        self.bn2 = nn.BatchNorm2d(width)

    def shortcut(self, input: Tensor) -> Tensor:
        return input if self.downsample is None else self.downsample(input)


class BasicBlock(_Block):
    """The block of ResNet-18 and ResNet-34: two 3 x 3 convolutions."""

    expansion = 1
    first_kernel = 3

    def __init__(self, width_in: int, width: int, stride: int, is_first: bool) -> None:
        super().__init__(width_in, width, stride, is_first)
        nn.init.zeros_(self.bn2.weight)

    def forward(self, input: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(input)))
        return F.relu(self.bn2(self.conv2(hidden)) + self.shortcut(input))


class BottleneckBlock(_Block):
    """The block of ResNet-50: a 3 x 3 convolution between two of 1 x 1."""

    expansion = 4
    first_kernel = 1

    def __init__(self, width_in: int, width: int, stride: int, is_first: bool) -> None:
        super().__init__(width_in, width, stride, is_first)
        self.conv3 = PaddedConv2d(width, 4 * width, 1)
        self.bn3 = nn.BatchNorm2d(4 * width)
        nn.init.zeros_(self.bn3.weight)

    def forward(self, input: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(input)))
        hidden = F.relu(self.bn2(self.conv2(hidden)))
        return F.relu(self.bn3(self.conv3(hidden)) + self.shortcut(input))


Block = type[BasicBlock] | type[BottleneckBlock]


class SIEResNet(nn.Module):
    """A ResNet without a classifier, from (batch, 3, size, size) to (batch, 512 or 2048), for multiples of 32 px.

    Args:
        block: Class of the blocks.
        depths: Numbers of blocks in the four stages.
    """

    def __init__(self, block: Block, depths: tuple[int, int, int, int]) -> None:
        super().__init__()
        self.conv1 = PaddedConv2d(3, 64, 7, stride=2)
        self.bn1 = nn.BatchNorm2d(64)
        # The published code pads right and bottom by one pixel of -1e4. Outputs of a ReLU are never
        # below that, so windows that reach over the edge (ceil_mode) give the same without a padded copy.
        self.maxpool = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.layer1 = _stage(block, 64, 64, depths[0], stride=1)
        self.layer2 = _stage(block, 64 * block.expansion, 128, depths[1], stride=2)
        self.layer3 = _stage(block, 128 * block.expansion, 256, depths[2], stride=2)
        self.layer4 = _stage(block, 256 * block.expansion, 512, depths[3], stride=2)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """Computes representations (batch, dimension) of normalized images (batch, 3, size, size)."""
        hidden = self.maxpool(F.relu(self.bn1(self.conv1(images))))
        hidden = self.layer4(self.layer3(self.layer2(self.layer1(hidden))))
        return hidden.mean(dim=(2, 3))


def sie_resnet18() -> SIEResNet:
    """Builds the published ResNet-18, 512 wide."""
    return SIEResNet(BasicBlock, (2, 2, 2, 2))


def sie_resnet34() -> SIEResNet:
    """Builds the published ResNet-34, 512 wide."""
    return SIEResNet(BasicBlock, (3, 4, 6, 3))


def sie_resnet50() -> SIEResNet:
    """Builds the published ResNet-50, 2048 wide."""
    return SIEResNet(BottleneckBlock, (3, 4, 6, 3))


def _stage(block: Block, width_in: int, width: int, depth: int, stride: int) -> nn.Sequential:
    """Builds the blocks of one width; the first has the stride and the projection."""
    first = block(width_in, width, stride, is_first=True)
    others = [block(width * block.expansion, width, 1, is_first=False) for _ in range(depth - 1)]
    return nn.Sequential(first, *others)
