"""Curves on Weights & Biases, with the real package in offline mode; its files are read back."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from commands import call
from iebench.training import wandb_log
from iebench.training.loop import train
from iebench.training.wandb_log import run_id
from processes import PATIENCE, wait_for
from shards.errors import UsageError
from small_runs import SMALL, losses, small_recipe

if TYPE_CHECKING:
    from wandb.proto.wandb_internal_pb2 import HistoryRecord, Record

BLOCK, HEADER = 32 * 1024, 7
BIG = "training.batch_size=18"  # a step of an epoch


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")


def records(path: Path) -> "list[Record]":
    """The records of a W&B file: LevelDB's log format, blocks of 32 KiB in which each piece has 7 bytes before it."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, offset, found, whole = path.read_bytes(), HEADER, [], b""
    while offset + HEADER <= len(content):
        left = BLOCK - offset % BLOCK
        if left < HEADER:
            offset += left
            continue
        length, kind = int.from_bytes(content[offset + 4 : offset + 6], "little"), content[offset + 6]
        whole += content[offset + HEADER : offset + HEADER + length]
        offset += HEADER + length
        if kind in (1, 4):  # the whole of a record, or its last piece
            found.append(Record.FromString(whole))
            whole = b""
    return found


def loss_of(row: "HistoryRecord") -> float:
    return next(float(item.value_json) for item in row.item if "train/loss" in (item.key, *item.nested_key))


def curves(folder: Path) -> list[list[tuple[int, float]]]:
    """The losses by step in each W&B file of a run, in the order of their times."""
    found = []
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        assert path.stem == f"run-{run_id(folder)}"
        rows = [record.history for record in records(path) if record.HasField("history")]
        found.append([(row.step.num, loss_of(row)) for row in rows])
    return found


@pytest.mark.processes
def test_a_run_and_its_resumption_are_one_run_of_both_logs(toy_dataset: Path, tmp_path: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "run"
    fields = [word for field in (*SMALL, BIG, "training.epochs=1") for word in ("--set", field)]
    begin = ["train", "demo", "--data", toy_dataset, "--out", folder, "--device", "cpu", *fields]
    begun = call(*begin, "--log", "tensorboard", "--log", "wandb")
    assert begun.code == 0, begun.err
    first, first_id = losses(folder), run_id(folder)
    resumed = call("train", "--resume", folder, "--set", "training.epochs=3", "--device", "cpu")
    assert resumed.code == 0, resumed.err
    assert run_id(folder) == first_id
    expected = [first, losses(folder)[len(first) :]]
    wait_for(lambda: curves(folder) == expected)  # the process of W&B may write after the run has ended
    drawn = EventAccumulator(str(folder / "tensorboard")).Reload().Scalars("train/loss")
    assert [event.step for event in drawn] == [step for step, _ in losses(folder)]


def test_without_the_package_nothing_is_begun(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(wandb_log.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'iebench\[wandb\]'"):
        train(small_recipe('training.log=["wandb"]'), toy_dataset, tmp_path / "run", "cpu")
    assert not (tmp_path / "run").exists()


BEGIN = """
import sys
from pathlib import Path
from iebench.training.wandb_log import WandbLog
from shards.errors import IebenchError
try:
    WandbLog(Path(sys.argv[1]), {})
except IebenchError as error:
    print(error)
"""


@pytest.mark.processes
def test_without_a_login_one_sentence_says_what_to_do(tmp_path: Path):
    variables = {name: value for name, value in os.environ.items() if name != "WANDB_API_KEY"}
    variables |= {"WANDB_MODE": "online", "WANDB_BASE_URL": "http://127.0.0.1:9", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN, tmp_path],
        env=variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    (sentence,) = done.stdout.splitlines()
    assert re.search(r"run `wandb login`, or set WANDB_MODE=offline .* --resume ", sentence)


def test_a_log_of_no_known_name_is_an_error():
    with pytest.raises(UsageError, match=r"training\.log"):
        small_recipe('training.log=["paper"]')
