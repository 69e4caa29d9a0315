"""Computes feature maps, which are the outputs of a ResNet before pooling."""

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.resnet import ResNet

from iebench.backbones.sie_resnet import SIEResNet
from shards.errors import UsageError


def require_feature_maps(backbone: nn.Module) -> None:
    """Raises an error if a backbone has no feature maps.

    Raises:
        UsageError: The backbone has none, such as a vision transformer, whose tokens are pooled by attention.
    """
    if not isinstance(backbone, ResNet | SIEResNet):
        raise UsageError("this method wants feature maps, which ResNets have; choose one as backbone.name")


def feature_maps(backbone: nn.Module, images: Tensor) -> Tensor:
    """Computes the feature maps, whose mean over all positions is the representation.

    Args:
        backbone: ResNet that ``build_backbone`` made.
        images: Normalized images (batch, 3, height, width).

    Returns:
        (batch, dimension, height', width'), where a position is 32 px wide, or 8 px with the stem for small images.
    """
    assert isinstance(backbone, ResNet | SIEResNet)
    hidden = backbone.maxpool(F.relu(backbone.bn1(backbone.conv1(images))))
    return backbone.layer4(backbone.layer3(backbone.layer2(backbone.layer1(hidden))))
