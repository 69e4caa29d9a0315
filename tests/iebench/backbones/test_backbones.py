import pytest
import torch

from iebench.backbones.builtin import REPRESENTATION_DIMENSIONS, BackboneConfig, build_backbone
from shards.errors import UsageError


@pytest.mark.parametrize("name", REPRESENTATION_DIMENSIONS)
def test_every_backbone_gives_representations_of_its_dimension(name: str):
    backbone = build_backbone(BackboneConfig(name=name), 32).eval()
    with torch.inference_mode():
        assert backbone(torch.randn(2, 3, 32, 32)).shape == (2, REPRESENTATION_DIMENSIONS[name])


@pytest.mark.parametrize(("size", "is_small"), [(32, True), (64, True), (65, False), (256, False)])
def test_images_up_to_64_pixels_get_the_stem_for_small_ones(size: int, is_small: bool):
    stem = build_backbone(BackboneConfig(), size).conv1
    assert (stem.kernel_size == (3, 3)) is is_small
    assert build_backbone(BackboneConfig(small_image_stem=False), size).conv1.kernel_size == (7, 7)


def test_a_vision_transformer_has_the_size_of_vit_s_16():
    backbone = build_backbone(BackboneConfig(name="vit_s_16"), 224)
    assert backbone.conv_proj.kernel_size == (16, 16)
    assert sum(value.numel() for value in backbone.parameters()) == pytest.approx(21.7e6, rel=0.01)


def test_patches_that_do_not_divide_the_image_are_one_sentence():
    with pytest.raises(UsageError, match="patches of 16 px, which do not divide 100 px"):
        build_backbone(BackboneConfig(name="vit_s_16"), 100)


def test_the_published_network_has_no_stem_for_small_images():
    assert build_backbone(BackboneConfig(name="sie_resnet18"), 64).conv1.kernel_size == (7, 7)
    with pytest.raises(UsageError, match="no stem for small images; leave out"):
        build_backbone(BackboneConfig(name="sie_resnet18", small_image_stem=True), 64)


@pytest.mark.parametrize("size", [16, 100])
def test_sizes_that_the_published_network_cannot_halve_are_one_sentence(size: int):
    with pytest.raises(UsageError, match=f"takes sizes that 32 divides, not {size} px; choose resnet50"):
        build_backbone(BackboneConfig(name="sie_resnet50"), size)
