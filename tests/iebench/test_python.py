"""The package as a library: what `import iebench` gives, and the programs of docs/training.md."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import iebench
from commands import call
from iebench import TrainingResult, train
from iebench.training.run import Run
from small_runs import losses, small_recipe

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def trained(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, list[Any]]:
    """A run of two epochs, not to be changed, and what its callback was told."""
    told: list[Any] = []
    torch.manual_seed(5)
    before = torch.get_rng_state()
    recipe = small_recipe("training.epochs=2", "training.log_every=2")
    folder = tmp_path_factory.mktemp("python") / "run"
    result = train(recipe, str(toy_dataset), str(folder), "cpu", on_step=lambda *step: told.append(step))
    assert torch.equal(torch.get_rng_state(), before)
    return result, told


def test_a_callback_is_told_every_step_and_the_result_says_what_came_of_it(
    trained: tuple[TrainingResult, list[Any]],
):
    result, told = trained
    assert [step for step, _ in told] == list(range(1, result.step + 1))
    assert [record["step"] for _, record in told if record] == [step for step, _ in losses(result.run)]
    assert result.record == told[-1][1]
    assert result.checkpoint.is_file()


def test_each_record_tells_rate_gradient_speed_and_waiting(trained: tuple[TrainingResult, list[Any]]):
    result, _ = trained
    assert result.record is not None
    assert result.record["learning_rate"] == pytest.approx(1e-3 * result.step / 50)  # of the warm-up
    assert result.record["gradient_norm"] > 0
    assert result.record["images_per_second"] > 0
    assert 0 <= result.record["data_wait"] <= 1


def test_config_json_says_what_a_run_is_computed_by(trained: tuple[TrainingResult, list[Any]]):
    machine = json.loads(Run(trained[0].run).config_path.read_text())["machine"]
    assert machine["iebench"] == iebench.__version__
    assert (machine["precision"], machine["processes"], machine["workers"]) == ("float32", 1, 0)
    assert machine["commit"] is None or re.fullmatch(r"[0-9a-f]{40}(-dirty)?", machine["commit"])


def test_a_run_is_resumed_by_its_folder_alone(trained: tuple[TrainingResult, list[Any]]):
    result, _ = trained
    resumed = call("train", "--resume", result.run, "--set", "training.epochs=3", "--device", "cpu")
    assert resumed.code == 0, resumed.err
    assert f"iebench eval {result.run}" in resumed.out
    assert losses(result.run)[-1][0] > result.step
    assert Run(result.run).recipe().training.epochs == 3


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--resume", "{run}", "--set", "method.projector=[8, 4]"], "method.projector = [64, 64, 32], not"),
        (["--resume", "{run}", "--set", "training.epoch=3"], "did you mean 'training.epochs'"),
        (["--resume", "{run}", "--out", "elsewhere"], "--out elsewhere must be left out"),
        (["--resume", "nowhere"], "nowhere holds no run"),
        (["demo", "--out", "somewhere"], "RECIPE --data DATASET --out RUN"),
        ([], "--resume RUN"),
    ],
)
def test_a_resumption_that_cannot_be_is_one_sentence(
    trained: tuple[TrainingResult, list[Any]], arguments: list[str], words: str
):
    result = call("train", *(word.format(run=trained[0].run) for word in arguments))
    assert result.code == 2
    assert words in result.error


@pytest.mark.processes
def test_importing_iebench_does_not_wait_for_pytorch():
    program = "import sys, iebench; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


@pytest.mark.processes
def test_the_programs_of_the_training_page_run(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "views").symlink_to(toy_dataset)
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    through_train, own_loop = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len([line for line in own_loop.splitlines() if line and "import" not in line]) <= 15
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(f"{through_train}\n{own_loop}", "docs/training.md", "exec"), names)
    assert names["step"].loss.isfinite()
    assert (tmp_path / "runs" / "python" / "checkpoints" / "last.pt").is_file()
