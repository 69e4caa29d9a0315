"""Presets are what they are said to be."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from render.settings import PRESETS, RenderSettings

FACTS = json.loads((Path(__file__).parents[1] / "data" / "scene.json").read_text())


def test_the_reference_preset_is_what_the_published_generator_does():
    preset, cycles = PRESETS["reference"], FACTS["cycles"]
    assert preset.samples == cycles["samples"] == 100
    assert preset.adaptive_threshold == pytest.approx(cycles["adaptive_threshold"]) == 0.01
    assert cycles["use_adaptive_sampling"] and not cycles["use_denoising"]
    assert preset.min_samples == cycles["adaptive_min_samples"]
    assert preset.denoiser == "compositor"  # as denoising_note in scene.json says
    assert preset.image_size == FACTS["render"]["resolution_x"] == FACTS["render"]["resolution_y"]
    assert preset.chroma == "4:2:0"


def test_the_default_settings_are_the_standard_preset():
    assert PRESETS["standard"] == RenderSettings()


def test_a_draft_takes_fewer_samples_than_the_standard():
    assert PRESETS["draft"].samples < PRESETS["standard"].samples


def test_no_preset_has_passes_and_passes_are_kept_in_their_order_once():
    assert {preset.passes for preset in PRESETS.values()} == {()}
    settings = RenderSettings(passes=("normal", "mask", "normal"))
    assert settings.passes == ("mask", "normal")
    assert RenderSettings.model_validate_json(settings.model_dump_json()) == settings
    with pytest.raises(ValidationError):
        RenderSettings(passes=("color",))
