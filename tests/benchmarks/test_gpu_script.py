"""The measurements of a GPU, on the CPU at toy size."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from warm_start import WarmProcess

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.fixture
def gpu(scripts: None, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, whose processes begin with PyTorch imported."""
    spec = importlib.util.spec_from_file_location("gpu_script", SCRIPT)  # Blender has a module named gpu
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "gpu_script", module)
    spec.loader.exec_module(module)
    warm = ModuleType("subprocess")
    vars(warm).update(vars(subprocess), Popen=WarmProcess)
    monkeypatch.setattr(module, "subprocess", warm)
    return module


TESTS = """
import pytest

@pytest.mark.gpu
def test_with_a_gpu(): ...

def test_without():
    raise AssertionError
"""


@pytest.mark.slow
def test_everything_is_measured_in_one_command(gpu: ModuleType, toy_dataset: Path, tmp_path: Path):
    tests = tmp_path / "test_some.py"
    tests.write_text(TESTS)
    options = ["--toy", "--out", tmp_path, "--data", toy_dataset, "--rows", "as published", "--tests", tests]
    result = CliRunner().invoke(gpu.main, [*map(str, options)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "gpu.json").read_text())
    row = found["rows"]["as published"]
    assert row["precision"] == "float32"  # the CPU has no float16
    assert row["images_per_second"] > 0
    assert found["training"]["ended_at"] > found["training"]["stopped_at"]
    assert 0 <= found["training"]["data_wait"] <= 1
    assert [error["one_sentence"] for error in found["errors"]] == [True, True]
    assert "| resnet50, 224 px |" in found["steering"]["table"]
    assert found["tests"]["counts"] == {"passed": 1}
    page = (tmp_path / "gpu.md").read_text()
    assert page.strip() in result.stdout
    assert "| as published | float32 |" in page


@pytest.mark.processes
def test_a_row_that_fails_says_why_and_costs_only_itself(gpu: ModuleType):
    sizes = gpu.Sizes(batch_size=2, image_size=30)  # which the published network does not take
    failed = gpu.measure_arrangement("as published", sizes, "cpu", 300)
    assert "takes sizes that 32 divides, not 30 px" in failed["reason"]
    good = {
        "images_per_second": 2000.0,
        "precision": "bfloat16",
        "peak_memory_gib": 30.0,
        "first_step_seconds": 1.0,
    }
    rows = {"as published": good, "+ bf16": failed, "iebench train": {**good, "images_per_second": 6000.0}}
    about = dict.fromkeys(("device", "torch", "python", "commit", "batch_size", "image_size"), "?")
    page = gpu.as_markdown({**about, "rows": rows, "seconds": 100.0})
    assert "| + bf16 | not measured: " in page
    assert "| iebench train | bfloat16 | 6,000 | 3.00 | 30.0 | 7.8 | 1.0 |" in page


@pytest.mark.processes
def test_what_takes_too_long_is_ended_with_all_that_it_started(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(gpu, "LEAST", 2.0)
    asleep = [
        sys.executable,
        "-c",
        "import os, time; os.fork(); os.write(1, b'%d\\n' % os.getpid()); time.sleep(600)",
    ]
    ended = gpu.run_bounded(asleep, gpu.LEAST)
    assert ended.code is None
    assert "all the time it had" in ended.reason
    assert len(ended.out.split()) == 2
    for pid in ended.out.split():
        assert not Path(f"/proc/{pid}/exe").exists()
    assert gpu.run_bounded(asleep, 0.5).reason == "no time was left for it"


def test_the_time_of_all_pieces_together_is_bounded(gpu: ModuleType):
    budget = gpu.Budget(100.0, patience=2.0)
    assert budget.share(10.0) == 20.0
    assert 90.0 < budget.share(80.0) <= 100.0
    assert gpu.Budget(0.0).share(10.0) == 0.0
