"""Which checkpoints stay, and what of them is loaded."""

import os
from pathlib import Path

import pytest
import torch

from iebench.training.checkpoints import Checkpoints
from iebench.training.run import Run, load_checkpoint
from iebench.training.schedule import Schedule


def content(step: int) -> dict:
    return {"weights": torch.full((3,), float(step))}


def names(run: Run) -> list[str]:
    return sorted(path.name for path in run.last_checkpoint.parent.iterdir())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "checkpoints").mkdir()
    return Run(tmp_path)


def test_the_last_checkpoints_stay_and_those_of_milestones(run: Run):
    schedule = Schedule(objects=10, batch_size=5, epochs=8, checkpoint_every=1, milestone_every=3)
    checkpoints = Checkpoints(run, keep=2)
    for step in range(1, schedule.steps + 1):
        if schedule.wants_checkpoint(step):
            checkpoints.save(content(step), step, schedule.milestone(step))
    last, milestones = ["step-00000014.pt", "step-00000016.pt"], ["epoch-0003.pt", "epoch-0006.pt"]
    assert names(run) == [*milestones, "last.pt", *last]
    assert load_checkpoint(run.last_checkpoint)["weights"][0] == 16
    assert load_checkpoint(run.folder / "checkpoints" / "epoch-0003.pt")["weights"][0] == 6


def test_the_newest_checkpoint_takes_its_room_once(run: Run):
    checkpoints = Checkpoints(run, keep=3)
    checkpoints.save(content(1), 1)
    checkpoints.save(content(1), 1)
    assert names(run) == ["last.pt", "step-00000001.pt"]
    assert run.last_checkpoint.stat().st_nlink == 2


def test_without_hard_links_the_newest_checkpoint_is_copied(run: Run, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    Checkpoints(run, keep=3).save(content(4), 4)
    assert names(run) == ["last.pt", "step-00000004.pt"]
    assert load_checkpoint(run.last_checkpoint)["weights"][0] == 4


def test_a_milestone_that_falls_between_two_steps_is_kept_at_the_next():
    schedule = Schedule(objects=10, batch_size=4, epochs=8, checkpoint_every=100, milestone_every=3)
    assert [step for step in range(1, 21) if schedule.milestone(step)] == [8, 15]
    assert [schedule.milestone(step) for step in (8, 15)] == [3, 6]
