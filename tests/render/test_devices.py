"""Render processes share the devices that Blender finds."""

import pytest

from render.devices import CPU, Device, choose_devices, device_of, has_gpu_driver, probe_gpus
from shards.errors import UsageError

OPTIX = [Device("optix", f"H200 {number}", f"OPTIX_{number}") for number in range(2)]
CUDA = [Device("cuda", f"H200 {number}", f"CUDA_{number}") for number in range(2)]


def never():
    raise AssertionError("Blender was asked")


def test_without_a_driver_the_cpu_renders_and_blender_is_not_asked():
    assert choose_devices("auto", driver=lambda: False, probe=never) == (CPU,)
    assert choose_devices("cpu", driver=lambda: True, probe=never) == (CPU,)


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


def test_a_device_survives_the_way_between_processes():
    assert Device.from_json(OPTIX[0].to_json()) == OPTIX[0]


@pytest.mark.blender
@pytest.mark.skipif(has_gpu_driver(), reason="this machine has a GPU")
def test_blender_itself_is_asked():
    assert probe_gpus() == []


@pytest.mark.gpu
@pytest.mark.blender
def test_blender_finds_the_gpu():
    assert {device.kind for device in probe_gpus()} & {"optix", "cuda", "hip", "metal"}
