"""A training that diverges keeps its last good checkpoint, and its message says how to go on."""

import json
import re
from pathlib import Path

import pytest
import torch

from commands import call
from iebench.training.health import Diverged
from iebench.training.loop import train
from iebench.training.run import Run, load_checkpoint
from small_runs import SMALL, losses, small_recipe


def command(data: Path, out: Path, *more: str) -> list[str]:
    overrides = [word for override in SMALL for word in ("--set", override)]
    return ["train", "demo", "--data", str(data), "--out", str(out), "--device", "cpu", *overrides, *more]


@pytest.fixture(scope="module")
def trained(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs, not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(small_recipe("training.epochs=4"), toy_dataset, folder, "cpu")
    return folder


@pytest.mark.slow
def test_a_diverged_run_keeps_a_good_checkpoint_and_goes_on_from_it(
    trained: Path, toy_dataset: Path, tmp_path: Path
):
    folder = tmp_path / "run"
    train(small_recipe("training.epochs=2"), toy_dataset, folder, "cpu")
    good = load_checkpoint(Run(folder).last_checkpoint)
    absurd = small_recipe("training.epochs=4", "optimizer.lr=1e30", "training.log_every=100")
    with pytest.raises(Diverged, match=r"no finite number at step 11; .*last\.pt holds the state of step 9"):
        train(absurd, toy_dataset, folder, "cpu", resume=True)
    kept = load_checkpoint(Run(folder).last_checkpoint)
    assert kept["position"] == good["position"]
    assert all(torch.equal(kept["model"][key], value) for key, value in good["model"].items())
    train(small_recipe("training.epochs=4"), toy_dataset, folder, "cpu", resume=True)
    assert losses(folder) == losses(trained)
    history = json.loads((folder / "config.json").read_text())["history"]
    assert [entry["step"] for entry in history] == [9, 9]
    assert [entry["changes"]["optimizer.lr"] for entry in history] == [[1e-3, 1e30], [1e30, 1e-3]]


@pytest.mark.slow
def test_a_state_is_written_only_once_a_step_from_it_was_good(toy_dataset: Path, tmp_path: Path):
    folder = tmp_path / "run"
    every_step = ["training.batch_size=18", "training.epochs=20", "training.log_every=100"]
    with pytest.raises(Diverged, match="at step 2; no checkpoint was due before"):
        train(small_recipe(*every_step, "optimizer.lr=1e30"), toy_dataset, folder, "cpu")
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["initial.pt"]
    train(small_recipe(*every_step[:1], "training.epochs=2"), toy_dataset, folder, "cpu", resume=True)
    assert [step for step, _ in losses(folder)] == [1, 2]


@pytest.mark.slow
def test_what_the_message_of_a_divergence_advises_works(toy_dataset: Path, tmp_path: Path):
    folder = tmp_path / "run"
    fields = ("training.batch_size=18", "training.epochs=2", "optimizer.lr=1e30")
    settings = [word for field in fields for word in ("--set", field)]
    diverged = call(*command(toy_dataset, folder), *settings)
    assert diverged.code == 1
    (advice,) = re.findall(r"`iebench (train [^`]*)`", diverged.error)
    assert advice == f"train --resume {folder} --set optimizer.lr=1e+29"
    lower = advice.replace("1e+29", "1e-4").split()
    assert call(*lower, "--device", "cpu").code == 0
    assert [step for step, _ in losses(folder)] == [1, 2]
    assert Run(folder).recipe().optimizer.lr == 1e-4
