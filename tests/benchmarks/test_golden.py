"""The measure of fidelity itself, and the views it is taken on."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def golden():
    pytest.importorskip("bpy")
    path = Path(__file__).parents[2] / "benchmarks" / "golden.py"
    spec = importlib.util.spec_from_file_location("golden", path)
    module = sys.modules["golden"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_noise_of_one_level_is_48_decibels(golden):
    truth = np.full((8, 8, 3), 100, np.uint8)
    assert golden.psnr(truth + 1, truth) == pytest.approx(20 * np.log10(255))


def test_there_are_32_views_with_latents_and_what_was_published_for_them(golden):
    views = golden.golden_views()
    assert len(views) == 32 and len({view.object for view in views}) == 8
    for view in views:
        assert view.model.is_file() and view.latents.shape == (7,)
        assert golden.psnr(view.published, view.truth) > 43.9  # dB; with red and blue swapped it is far less


def test_the_object_is_weighed_by_its_own_pixels(golden):
    truth = np.zeros((8, 8, 3), np.uint8)
    image, mask = truth.copy(), np.zeros((8, 8), bool)
    mask[:2] = True
    image[mask] = 1
    fidelity = golden.Fidelity.measure(image, truth, mask)
    assert fidelity.whole - fidelity.object == pytest.approx(10 * np.log10(4))
