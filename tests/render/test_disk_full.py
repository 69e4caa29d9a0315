"""A full disk stops a render with one sentence; with room made, it goes on."""

import errno
from contextlib import closing

import numpy as np
import pytest

from commands import SMALL, call, run
from disks import file_system, resize
from render.settings import RenderSettings
from shards.passes import PASSES
from toys import digests

pytestmark = pytest.mark.blender


@pytest.fixture
def small_disk(tmp_path):
    """A file system that can hold some views of the toy models, but not all."""
    with file_system(tmp_path / "disk", "100k") as folder:
        yield folder


@pytest.mark.parametrize("passes", [(), PASSES])
def test_a_frame_that_does_not_fit_on_the_disk_is_no_fault_of_the_model(small_disk, golden_data, passes):
    pytest.importorskip("bpy")
    from render.blender.scene import Scene

    resize(small_disk, "1600k" if passes else "64k")
    settings = RenderSettings(image_size=256, samples=1, denoiser="none", passes=passes)
    with closing(Scene(settings, threads=0, folder=small_disk)) as scene:
        scene.load(golden_data / "models" / "03797390" / "mug0" / "models" / "model_normalized.obj")
        with pytest.raises(OSError) as raised:
            scene.render(np.zeros(7))
        assert raised.value.errno == errno.ENOSPC
        resize(small_disk, "16m")
        assert list(scene.render(np.zeros(7)).passes()) == list(passes)


def test_a_full_disk_stops_a_render_which_goes_on_once_there_is_room(
    small_disk, rendered_dataset, toy_models
):
    out = small_disk / "views"
    arguments = ("render", toy_models, out, *SMALL, "--workers", "1")
    stopped = run(*arguments)
    assert stopped.code == 1, stopped.out
    assert stopped.error.startswith("No space left on device")
    assert "make room and run the same command again" in stopped.error
    assert not (out / "dataset.json").exists()
    whole = digests(rendered_dataset)
    assert all(digest == whole[name] for name, digest in digests(out).items() if name.endswith(".tar"))

    resize(small_disk, "16m")
    resumed = call(*arguments)
    assert resumed.code == 0, resumed.err
    assert digests(out) == whole
