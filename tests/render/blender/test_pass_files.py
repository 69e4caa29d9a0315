"""Mask, depth and normals are those of the geometry, and leave the picture as it is."""

import errno
from contextlib import closing, contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from geometry import AXES, EYE, FIELD_OF_VIEW, FLOOR, seen, write_ellipsoid
from render.frame import Frame
from render.model_errors import ModelError
from render.settings import RenderSettings
from shards.geometry import object_to_world, world_points
from shards.passes import PASSES
from shards.schema import SampleMetadata
from shards.variants import VARIANTS

pytestmark = pytest.mark.blender

SPHERE, EGG = (0.4, 0.4, 0.4), (0.55, 0.25, 0.4)
COLOURS = [0.3, 0.2, 1.0, 0.7]
VIEWS = {
    "sphere": (SPHERE, [0, 0, 0, *COLOURS]),
    "sphere moved": (SPHERE, [0.4, 1, -1, *COLOURS, 0.3, -0.25, 0.2]),
    "sphere moved into the floor": (SPHERE, [0, 0, 0, *COLOURS, -0.4, 0.1, -0.8]),
    "egg turned": (EGG, [0.7, -0.4, 1.1, *COLOURS]),
    "egg turned and moved": (EGG, [-1.2, 0.9, 0.3, *COLOURS, -0.2, 0.4, -0.3]),
}


@contextmanager
def scene_of(**settings):
    pytest.importorskip("bpy")
    from render.blender.scene import Scene

    with closing(Scene(RenderSettings(**settings), threads=0)) as scene:
        yield scene


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return {radii: write_ellipsoid(tmp_path_factory.mktemp("ellipsoid"), radii) for radii in (SPHERE, EGG)}


@pytest.fixture(scope="module")
def frames(models) -> dict[str, Frame]:
    """Every view above, by one scene."""
    rendered = {}
    with scene_of(image_size=96, samples=16, denoiser="none", passes=PASSES) as scene:
        for name, (radii, latents) in VIEWS.items():
            scene.load(models[radii])
            rendered[name] = scene.render(np.array(latents))
    return rendered


def degrees_between(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip((first * second).sum(axis=-1), -1, 1)))


@pytest.mark.parametrize("view", VIEWS)
def test_the_mask_is_what_the_centers_of_the_pixels_see(frames, view):
    radii, latents = VIEWS[view]
    truth, mask = seen(radii, np.array(latents), 96), frames[view].mask
    assert mask.dtype == bool and 100 < mask.sum() < 96 * 96 / 2
    sure = truth.clearance > 1e-3  # where the ray is not within a thousandth of the outline
    assert np.array_equal(mask[sure], truth.mask[sure])
    assert sure.mean() > 0.99


@pytest.mark.parametrize("view", VIEWS)
def test_rendered_depth_lies_on_the_object_where_its_matrix_says(frames, view):
    radii, latents = VIEWS[view]
    metadata = SampleMetadata(synset="1", object="a", view=0, label=0, latents=tuple(latents))
    names = VARIANTS["3diebench" if len(latents) == 7 else "translated"]
    own = np.linalg.inv(object_to_world(metadata, names))
    sure = frames[view].mask & (seen(radii, np.array(latents), 96).clearance > 0.02)
    points = world_points(frames[view].depth)[sure] @ own[:3, :3].T + own[:3, 3]
    assert np.abs(np.linalg.norm(points / radii, axis=-1) - 1).max() < 5e-3


@pytest.mark.parametrize("view", VIEWS)
def test_the_depth_is_the_distance_along_the_axis_of_the_camera(frames, view):
    radii, latents = VIEWS[view]
    truth, depth = seen(radii, np.array(latents), 96), frames[view].depth
    assert depth.dtype == np.float32
    sure = truth.clearance > 0.02
    error = np.abs(depth - truth.depth)[sure]
    assert error[truth.mask[sure]].max() < 5e-4  # m; the ellipsoid is made of flat faces
    assert error[~truth.mask[sure]].max() < 2e-3  # Cycles counts in single precision on a floor of 10 km


@pytest.mark.parametrize("view", VIEWS)
def test_the_normals_are_those_of_the_surface_in_the_axes_of_the_camera(frames, view):
    radii, latents = VIEWS[view]
    truth, normal = seen(radii, np.array(latents), 96), frames[view].normal
    assert normal.dtype == np.float32
    assert np.allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-5)
    inside = binary_erosion(truth.mask, iterations=2)  # an edge's normal is between those of its two sides
    assert inside.sum() > 50
    error = degrees_between(normal, truth.normal)
    assert np.median(error[inside]) < 0.7 and error[inside].max() < 5
    outside = binary_erosion(~truth.mask, iterations=2, border_value=1)
    assert error[outside].max() < 0.1
    assert np.allclose(
        normal[0, 0], (0, 0.5**0.5, 0.5**0.5), atol=1e-4
    )  # the floor, seen from 45 degrees above


def test_the_depth_of_a_pixel_puts_it_where_it_is(frames):
    truth = seen(SPHERE, np.array(VIEWS["sphere"][1]), 96)
    steps = ((np.arange(96) + 0.5) / 48 - 1) * np.tan(FIELD_OF_VIEW / 2)
    across, up = np.meshgrid(steps, -steps)
    depth = frames["sphere"].depth
    points = np.stack([across * depth, up * depth, -depth], axis=-1) @ AXES + EYE
    floor = ~truth.mask & (truth.clearance > 0.02)
    assert np.allclose(points[floor][:, 2], FLOOR, atol=2e-3)
    ball = truth.mask & (truth.clearance > 0.02)
    assert np.allclose(np.linalg.norm(points[ball], axis=1), 0.4, atol=5e-4)


@pytest.mark.parametrize("denoiser", ["none", "fast", "compositor"])
def test_passes_leave_the_picture_as_it_is_and_no_denoiser_changes_them(models, denoiser):
    latents = np.array(VIEWS["egg turned"][1])
    found = {}
    for passes in ((), PASSES):
        with scene_of(image_size=48, samples=4, denoiser=denoiser, passes=passes) as scene:
            scene.load(models[EGG])
            found[passes] = scene.render(latents)
    assert np.array_equal(found[()].image, found[PASSES].image)
    assert found[()].passes() == {}
    truth = seen(EGG, latents, 48)
    sure = truth.clearance > 0.02
    assert np.array_equal(found[PASSES].mask[sure], truth.mask[sure])
    assert np.abs(found[PASSES].depth - truth.depth)[sure].max() < 2e-3
    inside = binary_erosion(truth.mask, iterations=3)
    assert np.median(degrees_between(found[PASSES].normal, truth.normal)[inside]) < 3


@pytest.mark.parametrize("name", PASSES)
def test_only_the_passes_asked_for_are_there_and_each_is_the_same_alone(models, frames, name):
    with scene_of(image_size=96, samples=16, denoiser="none", passes=(name,)) as scene:
        scene.load(models[SPHERE])
        frame = scene.render(np.array(VIEWS["sphere"][1]))
    assert list(frame.passes()) == [name]
    assert np.array_equal(getattr(frame, name), getattr(frames["sphere"], name))
    assert np.array_equal(frame.image, frames["sphere"].image)


@pytest.mark.parametrize("size", [16, 33, 200])
def test_passes_have_the_size_of_the_picture(models, size):
    with scene_of(image_size=size, samples=1, denoiser="none", passes=PASSES) as scene:
        scene.load(models[SPHERE])
        frame = scene.render(np.array(VIEWS["sphere"][1]))
    assert {values.shape[:2] for values in (frame.image, *frame.passes().values())} == {(size, size)}


def test_passes_do_not_depend_on_what_was_rendered_before(models):
    wanted = np.array(VIEWS["egg turned"][1])
    with scene_of(image_size=32, samples=4, denoiser="none", passes=PASSES) as scene:
        scene.load(models[EGG])
        first = scene.render(wanted)
        scene.render(np.array(VIEWS["egg turned and moved"][1]))
        scene.load(models[SPHERE])
        other = scene.render(wanted)
        scene.load(models[EGG])
        again = scene.render(wanted)
    assert all(np.array_equal(values, again.passes()[name]) for name, values in first.passes().items())
    assert not np.array_equal(first.depth, other.depth)


@pytest.mark.parametrize("damage", ["missing", "cut short"])
def test_a_pass_that_was_not_written_is_an_error_and_never_zeros(models, monkeypatch, damage):
    with scene_of(image_size=32, samples=1, denoiser="none", passes=PASSES) as scene:
        scene.load(models[SPHERE])
        read = scene._passes.read

        def read_damaged():
            path = scene._passes._paths["depth"]
            path.unlink() if damage == "missing" else path.write_bytes(path.read_bytes()[:5000])
            return read()

        monkeypatch.setattr(scene._passes, "read", read_damaged)
        with pytest.raises(ModelError, match="Blender cannot render it"):
            scene.render(np.array(VIEWS["sphere"][1]))

        monkeypatch.setattr("render.blender.scene.shutil.disk_usage", lambda folder: SimpleNamespace(free=0))
        with pytest.raises(OSError) as raised:
            scene.render(np.array(VIEWS["sphere"][1]))
    assert raised.value.errno == errno.ENOSPC
