"""A full disk stops a render with one sentence; with room made, it goes on."""

import errno
import os
import subprocess
from contextlib import closing

import numpy as np
import pytest

from commands import SMALL, run
from render.settings import RenderSettings
from shards.passes import PASSES
from toys import digests

pytestmark = pytest.mark.blender


def mount(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)


@pytest.fixture
def small_disk(tmp_path):
    """A file system that can hold some views of the toy models, but not all."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    mounted = mount("-t", "tmpfs", "-o", "size=100k", "tmpfs", str(folder))
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.mark.parametrize("passes", [(), PASSES])
def test_a_frame_that_does_not_fit_on_the_disk_is_no_fault_of_the_model(small_disk, golden_data, passes):
    pytest.importorskip("bpy")
    from render.blender.scene import Scene

    assert (
        mount("-o", "remount,size=1600k" if passes else "remount,size=64k", str(small_disk)).returncode == 0
    )
    settings = RenderSettings(image_size=256, samples=1, denoiser="none", passes=passes)
    with closing(Scene(settings, threads=0, folder=small_disk)) as scene:
        scene.load(golden_data / "models" / "03797390" / "mug0" / "models" / "model_normalized.obj")
        with pytest.raises(OSError) as raised:
            scene.render(np.zeros(7))
        assert raised.value.errno == errno.ENOSPC
        assert mount("-o", "remount,size=16m", str(small_disk)).returncode == 0
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

    assert mount("-o", "remount,size=16m", str(small_disk)).returncode == 0
    resumed = run(*arguments)
    assert resumed.code == 0, resumed.err
    assert digests(out) == whole
