from pathlib import Path

import pytest
import torch

from iebench.training import machine
from iebench.training.machine import COMPILED_STEPS, can_build_kernels, start_line, wants_compile
from iebench.training.pace import Pace, readable_duration
from iebench.training.schedule import Schedule


@pytest.mark.parametrize(
    ("asked", "device", "steps", "compiles"),
    [
        (None, "cuda", COMPILED_STEPS, True),
        (None, "cuda", COMPILED_STEPS - 1, False),
        (None, "cpu", 10**6, False),
        (False, "cuda", 10**6, False),
        (True, "cpu", 1, True),
    ],
)
def test_only_long_runs_on_cuda_compile_unasked(
    monkeypatch: pytest.MonkeyPatch, asked: bool | None, device: str, steps: int, compiles: bool
):
    monkeypatch.setattr(machine, "can_build_kernels", lambda: True)
    assert wants_compile(asked, torch.device(device), steps) is compiles


@pytest.mark.parametrize(
    ("compiler", "has_headers", "can_build"),
    [("gcc", True, True), ("gcc", False, False), (None, True, False)],
)
def test_without_a_c_compiler_or_the_headers_of_python_nothing_compiles_unasked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, compiler: str | None, has_headers: bool, can_build: bool
):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(machine.shutil, "which", lambda name: compiler if name == compiler else None)
    monkeypatch.setattr(machine.sysconfig, "get_paths", lambda scheme: {"include": str(tmp_path)})
    if has_headers:
        (tmp_path / "Python.h").touch()
    assert can_build_kernels() is can_build
    assert wants_compile(None, torch.device("cuda"), 10**6) is can_build


def test_the_first_line_tells_device_precision_processes_steps_and_images():
    schedule = Schedule(objects=41_920, batch_size=1024, epochs=2000, checkpoint_every=10)
    machine = {"device": "NVIDIA H100 80GB HBM3", "precision": "bfloat16", "processes": 8}
    assert start_line(machine, torch.device("cuda", 0), schedule, 0) == (
        "training on NVIDIA H100 80GB HBM3 (cuda:0) in bfloat16, 8 processes: 81,875 steps of 1,024 pairs, "
        "167,680,000 images"
    )
    machine = {"device": "x86_64", "precision": "float32", "processes": 1}
    assert start_line(machine, torch.device("cpu"), schedule, 81_865) == (
        "training on the CPU (x86_64) in float32, 1 process: 10 steps (from step 81,865) of 1,024 pairs, 20,480 images"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(39.6, "40 s"), (723, "12 min 3 s"), (18_760, "5 h 12 min"), (3_600_000, "1,000 h 0 min")],
)
def test_a_duration_is_written_in_its_two_largest_units(seconds: float, text: str):
    assert readable_duration(seconds) == text


def test_the_time_left_is_that_of_the_pace_of_the_last_steps():
    pace = Pace(torch.device("cpu"), images_per_step=2_048)
    record = {"images_per_second": 7_700.0, "data_wait": 0.031}
    assert pace.time_left(81_865, record) == (
        "about 6 h 2 min left at 7,700 images/s, 3% of the time waiting for data"
    )
