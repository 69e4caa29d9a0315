"""Render processes share the devices that Blender finds."""

from contextlib import closing
from dataclasses import replace

import pytest

from commands import SMALL, call
from models import TRIANGLE, write_model
from render.catalog import ObjectRef
from render.device_choice import (
    CPU,
    WORKERS_PER_GPU,
    Device,
    choose_devices,
    default_workers,
    describe_devices,
    device_of,
    has_gpu_driver,
    threads_per_worker,
)
from render.limits import Limits
from render.local import LocalEngine
from render.plan import Job, PlanSettings
from render.settings import RenderSettings
from shards.errors import UsageError
from shards.schema import open_dataset

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
    assert default_workers(0, 64) == 64
    assert default_workers(2, 64) == 2 * WORKERS_PER_GPU
    assert default_workers(2, 3) == 3


def test_workers_beside_a_gpu_share_the_cores_and_those_on_the_cpu_have_one_each():
    assert threads_per_worker(0, 64, 8) == 1
    assert threads_per_worker(2, 64, 8) == 8
    assert threads_per_worker(2, 4, 8) == 1


def test_a_person_is_told_what_renders_and_what_is_not_as_expected():
    assert describe_devices([CPU], 1, driver=False) == "rendering on the CPU with 1 worker"
    assert "Blender can use no GPU" in describe_devices([CPU], 64, driver=True)
    told = describe_devices(OPTIX, 8, driver=True)
    assert told.startswith("rendering on 2 GPUs by optix (H200 0, H200 1) with 8 workers; the first start")
    assert "denoising on the CPU" in describe_devices([replace(OPTIX[0], denoises=False)], 4, driver=True)


@pytest.fixture
def cycles(bpy, monkeypatch):
    """Cycles on a machine with so many GPUs, which names the CPU under each kind as Blender does."""
    import _cycles

    def with_gpus(count: int, denoises: bool = True) -> None:
        def available(kind: str) -> tuple:
            gpus = [
                (f"H100 {number}", kind, f"{kind}_{number}", False, True, denoises, False, True)
                for number in range(count)
                if kind in ("CUDA", "OPTIX")
            ]
            return (*gpus, ("Xeon", "CPU", "CPU", False, False, True, False, True))

        monkeypatch.setattr(_cycles, "available_devices", available)

    return with_gpus


def devices_of_slots(slots: int) -> list[str]:
    """What Cycles may use in the worker of each slot, in Blender's own words."""
    import bpy

    from render.blender.hardware import list_gpus, use_device

    devices = choose_devices("auto", list_gpus, driver=lambda: True)
    used = []
    for slot in range(slots):
        use_device(bpy.context.scene, device_of(slot, devices))
        entries = bpy.context.preferences.addons["cycles"].preferences.devices
        used.append(",".join(entry.id for entry in entries if entry.use))
    return used


@pytest.mark.blender
@pytest.mark.parametrize(
    ("gpus", "expected"),
    [(1, ["OPTIX_0"] * 4), (2, ["OPTIX_0", "OPTIX_1", "OPTIX_0", "OPTIX_1"])],
)
def test_no_worker_of_a_machine_with_gpus_is_dealt_the_cpu(cycles, gpus, expected):
    cycles(gpus)
    assert devices_of_slots(4) == expected


@pytest.mark.blender
def test_without_a_gpu_cycles_names_the_cpu_and_none_is_found(cycles):
    from render.blender.hardware import list_gpus

    cycles(0)
    assert list_gpus() == []


@pytest.mark.blender
@pytest.mark.parametrize("denoises", [True, False])
def test_views_are_denoised_on_a_gpu_that_can(cycles, denoises):
    import bpy

    from render.blender.hardware import list_gpus, use_device

    cycles(1, denoises)
    device = list_gpus()[0]
    use_device(bpy.context.scene, device)
    assert device.denoises == denoises == bpy.context.scene.cycles.denoising_use_gpu


@pytest.mark.blender
@pytest.mark.parametrize(("device", "ends"), [(CPU, 2), (Device("optix", "H100", "OPTIX_0"), 0)])
def test_cycles_keeps_its_session_on_a_gpu_where_a_new_one_takes_seconds(
    cycles, monkeypatch, tmp_path, device, ends
):
    from render.blender.scene import Scene

    cycles(1)
    ended = []
    monkeypatch.setattr(Scene, "_warm_up", lambda *_: None)  # there is no such GPU here
    monkeypatch.setattr(Scene, "_end_session", lambda _: ended.append(1))
    with closing(Scene(RenderSettings(image_size=16, samples=1, denoiser="none"), device=device)) as scene:
        for _ in range(20):
            scene.load(write_model(tmp_path, TRIANGLE))
    assert len(ended) == ends


def test_a_driver_without_a_gpu_that_blender_can_use_leaves_all_cores(tmp_path, monkeypatch):
    monkeypatch.setattr("render.local.find_gpus", list)
    monkeypatch.setattr("render.local.available_cores", lambda: 64)
    monkeypatch.setattr("render.device_choice._DRIVERS", (str(tmp_path),))
    job = Job(ObjectRef("class", "a", tmp_path, 0, "train"), PlanSettings(), tmp_path)
    with closing(LocalEngine(job, None, "auto", Limits(1, 1))) as engine:
        assert (engine.kind, engine.workers) == ("cpu", 64)
        assert "Blender can use no GPU" in engine.description


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
    assert "rendering on" in gpu.err and "GPU" in gpu.err and "denoising on the CPU" not in gpu.err
    assert call("verify", tmp_path / "gpu").code == 0
    (kind,) = open_dataset(tmp_path / "gpu").renderer["devices"]
    assert kind != "cpu"
