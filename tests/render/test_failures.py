"""An object that cannot be rendered costs that object only, and is named."""

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from commands import COMMAND, SMALL, Result, call, ended, started
from models import TRIANGLE, write_model
from processes import HeldFile, render_workers
from render.model_errors import ModelError
from shards.schema import open_dataset
from toys import digests

GOOD = ["bottle0", "bottle1", "bottle2", "bottle3"]


def failures_of(folder):
    lines = (folder / "failures.jsonl").read_text().splitlines()
    return {item["object"]: item for item in map(json.loads, lines)}


def objects_of(folder):
    return sum(split.objects for split in open_dataset(folder).splits.values())


@pytest.mark.processes
def test_the_reason_of_a_failure_reaches_a_parent_that_has_neither_blender_nor_torch():
    """PyTorch would take 250 MB and seconds in each render process, and in this parent."""
    script = (
        "import pickle, sys; from render.model_errors import ModelError; import render.dataset, render.check;"
        "assert str(pickle.loads(pickle.dumps(ModelError('why')))) == 'why';"
        "sys.exit(bool({'bpy', 'render.blender', 'torch'}.intersection(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.processes
def test_a_mended_model_is_rendered_once_the_list_of_failures_is_deleted(painted, tmp_path):
    models, out = tmp_path / "models", tmp_path / "views"
    paths = {name: write_model(models / "02876657" / name, TRIANGLE) for name in GOOD}
    engine = painted(lambda name, _: None if paths[name].read_text() else ModelError("it holds no faces"))
    paths["bottle1"].write_text("")
    arguments = ("render", models, out, *SMALL, "--workers", "1")
    assert call(*arguments).code == 1
    assert list(failures_of(out)) == ["bottle1"] and objects_of(out) == 3

    paths["bottle1"].write_text(TRIANGLE)
    engine.tried.clear()
    assert "nothing was rendered" in call(*arguments).out
    (out / "failures.jsonl").unlink()
    mended = call(*arguments)
    assert mended.code == 0 and "failed" not in mended.out
    assert "9 of 12 views are there already" in mended.err and engine.tried == ["bottle1"]
    assert objects_of(out) == 4 and failures_of(out) == {}
    assert call("verify", out, "--workers", "1").code == 0

    fresh = tmp_path / "fresh"
    assert call("render", models, fresh, *SMALL, "--workers", "1").code == 0
    assert digests(fresh) == digests(out)


def test_where_no_model_can_be_rendered_the_command_fails(painted, tmp_path):
    painted(lambda name, attempt: ModelError("it holds no faces"))
    for name in GOOD:
        write_model(tmp_path / "models" / "02876657" / name, "")
    out = tmp_path / "views"
    result = call("render", tmp_path / "models", out, *SMALL, "--workers", "1")
    assert result.code == 1
    assert (
        result.error == f"none of the 4 objects could be rendered; {out / 'failures.jsonl'} says why for each"
    )
    assert set(failures_of(out)) == set(GOOD)


@pytest.mark.blender
def test_a_worker_that_is_killed_is_replaced_and_its_object_tried_again(tmp_path):
    """Where memory runs out, the kernel ends the workers before their parent."""
    models, out = tmp_path / "models", tmp_path / "views"
    write_model(models / "02876657" / "bottle0", TRIANGLE)

    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    with (
        closing(HeldFile(write_model(models / "02876657" / "bottle1", TRIANGLE))) as held,
        started("render", models, out, *SMALL, "--workers", "1") as process,
    ):
        held.wait_for_reader(process)
        (worker,) = render_workers(process.pid)
        assert score(worker.pid) == 1000 > score(process.pid)
        os.kill(worker.pid, signal.SIGKILL)
        held.let_go()
        result = ended(process)
    assert result.code == 0, result.err
    assert failures_of(out) == {} and objects_of(out) == 2
    assert call("verify", out, "--workers", "1").code == 0


@pytest.mark.blender
def test_a_blender_that_does_not_start_is_one_sentence(tmp_path):
    write_model(tmp_path / "models" / "02876657" / "bottle0", TRIANGLE)
    (tmp_path / "bpy.py").write_text("raise ImportError('libXrender is missing')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [*COMMAND, "render", tmp_path / "models", tmp_path / "views", *SMALL, "--workers", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    result = Result(done.returncode, done.stdout, done.stderr)
    assert result.code == 1
    assert "iebench doctor" in result.error
