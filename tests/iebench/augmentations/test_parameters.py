"""What is drawn for each view: a function of seed, object, epoch and view, in the units of EquiMod's vector."""

import math

import numpy as np
import pytest

from iebench.augmentations.config import AugmentationConfig
from iebench.augmentations.parameters import (
    PARAMETERS,
    draw_parameters,
    original_parameters,
    uniform_numbers,
)
from iebench.methods.parts.transformations import AUGMENTATION_GROUPS, LATENTS

WHOLE = AugmentationConfig(blur=[1.0, 0.1], solarize=[0.0, 0.2])


def drawn(
    config: AugmentationConfig = WHOLE, view: int = 1, count: int = 4000, height: int = 30, width: int = 40
):
    rows = [
        draw_parameters(config, view, height, width, uniform_numbers(0, "n", "a", epoch, view))
        for epoch in range(count)
    ]
    return dict(zip(PARAMETERS, np.array(rows).T, strict=True))


def test_the_groups_side_by_side_are_the_vector_in_order():
    names = [name for group in AUGMENTATION_GROUPS for name in LATENTS[group]]
    assert tuple(names) == PARAMETERS and len(PARAMETERS) == 18
    assert len([name for group in AUGMENTATION_GROUPS[:4] for name in LATENTS[group]]) == 15


def test_a_view_is_drawn_alike_whatever_else_is_drawn():
    def row(seed=0, name="a", epoch=3, view=1):
        return draw_parameters(WHOLE, view, 32, 32, uniform_numbers(seed, "n", name, epoch, view)).tolist()

    assert row() == row()
    assert all(row() != row(**other) for other in ({"seed": 1}, {"name": "b"}, {"epoch": 4}, {"view": 2}))


def test_shares_and_means_are_those_that_the_recipe_asks_for():
    first, second = drawn(), drawn(view=2)
    shares = {"flip": 0.5, "jitter": 0.8, "grayscale": 0.2, "blur": 1.0, "solarize": 0.0}
    for name, share in shares.items():
        assert first[name].mean() == pytest.approx(share, abs=0.03)
    assert second["blur"].mean() == pytest.approx(0.1, abs=0.02)
    assert second["solarize"].mean() == pytest.approx(0.2, abs=0.03)
    # EquiMod's own constants for CIFAR-10 (arXiv 2211.01244, its code): 0.99993 +- 0.2066, 2.2e-7 +- 0.0517
    for name in ("brightness", "contrast", "saturation"):
        assert (first[name].mean(), first[name].std()) == pytest.approx((1.0, 0.2066), abs=0.012)
    assert (first["hue"].mean(), first["hue"].std()) == pytest.approx((0.0, 0.0517), abs=0.003)
    for name, mean, std in (("jitter_first", 1.2025, 1.1651), ("jitter_fourth", 1.8004, 1.1669)):
        assert (first[name].mean(), first[name].std()) == pytest.approx((mean, std), abs=0.06)


def test_crops_of_cifar_have_the_published_statistics_and_stay_inside():
    found = drawn(AugmentationConfig(), height=32, width=32)
    published = {"crop_top": (4.3122, 3.974), "crop_height": (23.369, 4.9544), "crop_width": (23.374, 4.9539)}
    for name, numbers in published.items():
        assert (found[name].mean(), found[name].std()) == pytest.approx(numbers, abs=0.2)
    assert (found["crop_top"] + found["crop_height"]).max() <= 32
    assert (found["crop_left"] + found["crop_width"]).max() <= 32
    assert found["crop_height"].min() >= 8


def test_a_strip_is_cropped_to_an_allowed_ratio_in_its_middle():
    found = drawn(height=8, width=400)
    ratio = found["crop_width"] / found["crop_height"]
    assert ratio.max() < 1.6
    assert (found["crop_left"] + found["crop_width"]).max() <= 400


def test_what_is_not_applied_has_the_value_that_changes_nothing():
    nothing = AugmentationConfig(
        crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], flip=0.0, jitter=0.0, grayscale=0.0
    )
    row = draw_parameters(nothing, 1, 32, 32, uniform_numbers(0, "n", "a", 0, 1))
    assert row.tolist() == original_parameters(32, 32).tolist()
    assert nothing.recorded_groups() == ()
    assert AugmentationConfig().recorded_groups() == ("crop", "flip", "color_jitter", "grayscale")


@pytest.mark.parametrize(
    "fields",
    [
        {"crop_scale": [0.5, 1.5]},
        {"crop_scale": [0.0, 1.0]},
        {"crop_ratio": [2.0, 1.0]},
        {"blur": [1.5]},
        {"blur_sigma": [0.0, 1.0]},
        {"crop_scale": [math.nan, 1.0]},
    ],
)
def test_an_impossible_pipeline_is_refused(fields: dict):
    with pytest.raises(ValueError, match=r"crop_scale|crop_ratio|blur"):
        AugmentationConfig(**fields)
