"""Views of one model with given latents, from Python."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from models import UNUSABLE, write_model
from render.model_errors import ModelError
from render.settings import RenderSettings
from shards.errors import UsageError

pytestmark = pytest.mark.blender

QUICK = RenderSettings(image_size=16, samples=1, denoiser="none")
LATENTS = np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [1.0, -0.2, 0.3, 0.9, 0.1, 5.0, 0.2]])


@pytest.fixture(scope="module")
def render_views():
    pytest.importorskip("bpy")
    from render.blender.views import render_views

    return render_views


@pytest.fixture
def mug(golden_data):
    return golden_data / "models" / "03797390" / "mug0" / "models" / "model_normalized.obj"


def test_every_row_of_latents_gives_a_frame_and_the_same_row_the_same_one(render_views, mug):
    first, second = render_views(mug, LATENTS, QUICK)
    assert first.image.shape == (16, 16, 3) and first.image.dtype == np.uint8
    assert not np.array_equal(first.image, second.image)
    assert first.passes() == {}
    again = render_views(mug, LATENTS[::-1].tolist(), QUICK, threads=1)
    assert np.array_equal(again[1].image, first.image) and np.array_equal(again[0].image, second.image)


def test_translation_and_passes_are_taken_along(render_views, mug):
    shift = np.array([[0, 0, 0], [0.3, 0, 0]])
    settings = QUICK.model_copy(update={"passes": ("mask",), "image_size": 64})
    central, moved = render_views(mug, np.hstack([LATENTS[[0, 0]], shift]), settings)
    columns = [np.nonzero(frame.mask)[1].mean() for frame in (central, moved)]
    assert columns[1] < columns[0] - 5  # the camera looks along -y, so that +x is left


def test_no_row_gives_no_frame(render_views, mug):
    assert render_views(mug, np.empty((0, 7)), QUICK) == []


@pytest.mark.parametrize(
    ("latents", "said"),
    [
        (np.zeros(7), r"have the shape \(views, 7 or 10\), not \(7,\)"),
        (np.zeros((2, 6)), r"have the shape \(views, 7 or 10\), not \(2, 6\)"),
        (np.zeros((1, 1, 7)), r"have the shape \(views, 7 or 10\), not \(1, 1, 7\)"),
        ([[0.0] * 7, [0.0] * 6], "an array of numbers"),
        ([["a"] * 7], "an array of numbers"),
        (np.full((1, 7), np.nan), "not finite"),
        (np.full((1, 10), np.inf), "not finite"),
    ],
)
def test_latents_of_another_shape_are_refused(render_views, mug, latents, said):
    with pytest.raises(UsageError, match=said):
        render_views(mug, latents, QUICK)


@pytest.mark.parametrize("kind", ["missing", "faceless", "nan"])
def test_a_model_that_cannot_be_rendered_says_why(render_views, tmp_path, kind):
    content, reason = UNUSABLE[kind]
    with pytest.raises(ModelError, match=reason):
        render_views(write_model(tmp_path, content), LATENTS, QUICK)


def test_nothing_is_left_in_the_temporary_folder(mug, tmp_path):
    program = (
        "import sys, pathlib, render.blender.views as views; from render.settings import PRESETS\n"
        "settings = PRESETS['draft'].model_copy(update={'image_size': 16, 'passes': ('depth',)})\n"
        f"assert len(views.render_views(pathlib.Path({str(mug)!r}), {LATENTS.tolist()}, settings)) == 2\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TMPDIR": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0
    assert not list(tmp_path.glob("iebench-*"))
