"""Render processes share the devices that Blender finds."""

import pytest

from commands import SMALL, call
from render.devices import (
    CPU,
    WORKERS_PER_GPU,
    Device,
    choose_devices,
    default_workers,
    device_of,
    has_gpu_driver,
)
from shards.errors import UsageError

OPTIX = [Device("optix", f"H200 {number}", f"OPTIX_{number}") for number in range(2)]
CUDA = [Device("cuda", f"H200 {number}", f"CUDA_{number}") for number in range(2)]


def never():
    raise AssertionError("Blender was asked")


def test_without_a_driver_the_cpu_renders_and_blender_is_not_asked():
    assert choose_devices("auto", never, driver=lambda: False) == (CPU,)
    assert choose_devices("cpu", never, driver=lambda: True) == (CPU,)


def test_the_quickest_way_to_the_gpus_is_taken():
    assert choose_devices("auto", driver=lambda: True, probe=lambda: CUDA + OPTIX) == tuple(OPTIX)
    assert choose_devices("cuda", probe=lambda: CUDA + OPTIX) == tuple(CUDA)


def test_a_driver_without_a_gpu_leaves_the_cpu():
    assert choose_devices("auto", driver=lambda: True, probe=lambda: []) == (CPU,)


def test_a_device_that_is_not_there_is_one_sentence():
    with pytest.raises(UsageError, match="finds no hip device here \\(GPUs it can use: cuda, optix\\)"):
        choose_devices("hip", probe=lambda: CUDA + OPTIX)


def test_workers_are_dealt_out_evenly_over_the_gpus():
    assert [device_of(slot, OPTIX).id for slot in range(4)] == ["OPTIX_0", "OPTIX_1"] * 2


def test_a_gpu_is_shared_by_a_few_workers_and_a_cpu_by_as_many_as_it_has_cores():
    assert default_workers("cpu", 64, gpus=2) == 64
    assert default_workers("auto", 64, gpus=2) == 2 * WORKERS_PER_GPU
    assert default_workers("optix", 3, gpus=1) == 3


@pytest.mark.blender
@pytest.mark.skipif(has_gpu_driver(), reason="this machine has a GPU")
def test_blender_itself_is_asked_for_its_gpus(toy_models, tmp_path):
    result = call("render", toy_models, tmp_path / "views", *SMALL, "--workers", "1", "--device", "cuda")
    assert result.code == 2
    assert "finds no cuda device here (GPUs it can use: none)" in result.error


@pytest.mark.gpu
@pytest.mark.blender
def test_a_gpu_renders_the_views(toy_models, tmp_path):
    gpu = call("render", toy_models, tmp_path / "gpu", *SMALL, "--workers", "2")
    assert gpu.code == 0, gpu.err
    assert "compiles" in gpu.err
    assert call("verify", tmp_path / "gpu").code == 0
