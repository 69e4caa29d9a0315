"""Backbones: from normalised images to representations."""

from torch import nn
from torchvision.models import resnet18

REPRESENTATION_DIMENSION = 512


def build_backbone(small_image_stem: bool) -> nn.Module:
    """ResNet-18 without its classifier: (batch, 3, height, width) to (batch, 512), after pooling.

    Args:
        small_image_stem: a 3 x 3 convolution of stride 1 and no max pooling, as for images of 32 px.
    """
    network = resnet18()
    network.fc = nn.Identity()
    if small_image_stem:
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return network
