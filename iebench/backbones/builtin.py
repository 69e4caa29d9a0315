"""Builds the backbones, which are networks from normalized images to representations."""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import nn
from torchvision.models import VisionTransformer, resnet18, resnet34, resnet50
from torchvision.models.resnet import BasicBlock, ResNet

from iebench.backbones.sie_resnet import STEP, sie_resnet18, sie_resnet34, sie_resnet50
from iebench.backbones.small_maps import multiply_small_maps
from iebench.backbones.weights import load_exactly, read_weights
from shards.errors import UsageError

Name = Literal[
    "resnet10", "resnet18", "resnet34", "resnet50", "sie_resnet18", "sie_resnet34", "sie_resnet50", "vit_s_16"
]

REPRESENTATION_DIMENSIONS: dict[Name, int] = {
    "resnet10": 512,
    "resnet18": 512,
    "resnet34": 512,
    "resnet50": 2048,
    "sie_resnet18": 512,
    "sie_resnet34": 512,
    "sie_resnet50": 2048,
    "vit_s_16": 384,
}
SMALL_IMAGE = 64
"""Largest image size in pixels that gets the stem for small images if the recipe does not say."""


def resnet10(**options: Any) -> ResNet:
    """Builds a ResNet-18 with one block in each stage instead of two, which costs half and is as wide."""
    return ResNet(BasicBlock, [1, 1, 1, 1], **options)


_RESNETS = {"resnet10": resnet10, "resnet18": resnet18, "resnet34": resnet34, "resnet50": resnet50}
_PUBLISHED = {"sie_resnet18": sie_resnet18, "sie_resnet34": sie_resnet34, "sie_resnet50": sie_resnet50}


class BackboneConfig(BaseModel):
    """The section ``[backbone]`` of a recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    name: Name = Field(default="resnet18", description="name of the network")
    small_image_stem: bool | None = Field(
        default=None,
        description="whether the first layers keep the size of small images; by default up to 64 px",
    )
    joint_views: bool = Field(
        default=True, description="whether all views are in one call, so that batch norm sees them together"
    )
    zero_init: bool = Field(
        default=False,
        description="whether the last batch norm of each block of torchvision's ResNets starts at zero",
    )
    weights: str | None = Field(
        default=None, description="file to start from: safetensors, a state dict, or a published checkpoint"
    )


def build_backbone(config: BackboneConfig, image_size: int) -> nn.Module:
    """Builds a network without a classifier, from images (batch, 3, height, width) to (batch, dimension).

    With the stem for small images, a ResNet begins with a 3 x 3 convolution of stride 1 and has no max pooling,
    as for CIFAR; a ViT has patches of 8 px rather than 16. The published ResNets have no such stem. The initial weights
    that ``config`` may name are not loaded here.

    Raises:
        UsageError: The images are of a size that the network cannot take.
    """
    if config.name in _PUBLISHED:
        return _published_resnet(config, image_size)
    is_small = with_stem(config, image_size).small_image_stem
    if config.name == "vit_s_16":
        return _vision_transformer(image_size, patch=8 if is_small else 16)
    network = _RESNETS[config.name](zero_init_residual=config.zero_init)
    network.fc = nn.Identity()
    if is_small:
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=1, padding=1, bias=False)
        network.maxpool = nn.Identity()
    return multiply_small_maps(network)


def with_stem(config: BackboneConfig, image_size: int) -> BackboneConfig:
    """Fixes the choice of the stem, so that it does not depend on the dataset that a run is evaluated on."""
    if config.small_image_stem is not None:
        return config
    is_small = image_size <= SMALL_IMAGE and config.name not in _PUBLISHED
    return config.model_copy(update={"small_image_stem": is_small})


def load_initial_weights(backbone: nn.Module, config: BackboneConfig) -> None:
    """Loads the weights that a training starts from, if the recipe names a file of them.

    Raises:
        UsageError: The file cannot be read, or holds the weights of another network.
    """
    if config.weights is not None:
        load_exactly(backbone, read_weights(Path(config.weights)).backbone(), config.weights)


def _published_resnet(config: BackboneConfig, image_size: int) -> nn.Module:
    if config.small_image_stem:
        raise UsageError(
            f"{config.name} is the published network, which has no stem for small images; leave out "
            f"backbone.small_image_stem, or choose {config.name.removeprefix('sie_')} as backbone.name"
        )
    if image_size % STEP:
        raise UsageError(
            f"{config.name} halves images five times and takes sizes that {STEP} divides, not {image_size} px; choose "
            f"{config.name.removeprefix('sie_')} as backbone.name, or render the views at another size"
        )
    return _PUBLISHED[config.name]()


def _vision_transformer(image_size: int, patch: int) -> nn.Module:
    """Builds ViT-S (DeiT, arXiv 2012.12877, table 1): 12 layers of 6 heads, 384 wide."""
    if image_size % patch:
        raise UsageError(
            f"a vision transformer cuts images into patches of {patch} px, which do not divide {image_size} px; "
            "choose a ResNet as backbone.name, or render the views at another size"
        )
    width = REPRESENTATION_DIMENSIONS["vit_s_16"]
    network = VisionTransformer(
        image_size, patch, num_layers=12, num_heads=6, hidden_dim=width, mlp_dim=4 * width
    )
    network.heads = nn.Identity()
    return network
