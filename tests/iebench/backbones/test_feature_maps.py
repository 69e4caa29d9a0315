import pytest
import torch

from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.backbones.feature_maps import feature_maps, require_feature_maps
from shards.errors import UsageError


@pytest.mark.parametrize(("name", "side"), [("resnet10", 4), ("resnet50", 4), ("sie_resnet18", 1)])
def test_the_mean_of_the_maps_is_the_representation(name: str, side: int):
    torch.manual_seed(0)
    backbone = build_backbone(BackboneConfig(name=name), 32).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        maps, expected = feature_maps(backbone, images), backbone(images)
    assert maps.shape == (2, expected.shape[1], side, side)
    torch.testing.assert_close(maps.mean(dim=(2, 3)), expected)


def test_a_network_without_maps_is_one_sentence():
    with pytest.raises(UsageError, match="wants feature maps, which ResNets have"):
        require_feature_maps(build_backbone(BackboneConfig(name="vit_s_16"), 32))
