"""An object that cannot be rendered costs that object only, and is named."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from commands import COMMAND, SMALL, Result, call, ended, run, started
from models import TRIANGLE, UNUSABLE, write_model
from processes import render_workers, wait_for_reader
from shards.schema import open_dataset
from toys import digests

pytestmark = pytest.mark.blender

GOOD = ["bottle0", "bottle1", "bottle2", "bottle3"]


def failures_of(folder):
    lines = (folder / "failures.jsonl").read_text().splitlines()
    return {item["object"]: item for item in map(json.loads, lines)}


def objects_of(folder):
    return sum(split.objects for split in open_dataset(folder).splits.values())


def test_no_model_stops_a_render_and_all_that_fail_are_named(tmp_path, monkeypatch):
    models, out, node = tmp_path / "models", tmp_path / "views", tmp_path / "node"
    node.mkdir()
    monkeypatch.setenv("TMPDIR", str(node))
    for name in GOOD:
        write_model(models / "02876657" / name, TRIANGLE)
    for kind, (content, _) in UNUSABLE.items():
        write_model(models / "03797390" / kind, content)
    os.mkfifo(write_model(models / "03797390" / "hangs", None))  # whoever opens it waits for ever

    result = run("render", models, out, *SMALL, "--workers", "2", "--view-timeout", "10")

    assert result.code == 1
    assert result.error.startswith("8 objects could not be rendered; all others are done.")
    failures = failures_of(out)
    assert sorted(failures) == sorted([*UNUSABLE, "hangs"])
    assert failures["hangs"]["reason"] == "reading it, or one of its views, took longer than 10 s"
    assert failures["hangs"]["attempts"] == 2
    for kind, (_, reason) in UNUSABLE.items():
        assert re.match(reason, failures[kind]["reason"])
        assert failures[kind]["attempts"] == 1
    for name, failure in failures.items():
        assert f"  03797390/{name}: {failure['reason']}\n" in result.out
        assert f"failed: 03797390/{name}: {failure['reason']}" in result.err
    assert "8 objects failed" in result.out
    assert objects_of(out) == len(GOOD)
    assert list(node.iterdir()) == []
    verified = call("verify", out)
    assert (verified.code, verified.out) == (0, f"{out}: 12 views, all as the index and the contract say\n")

    again = call("render", models, out, *SMALL, "--allow-failures", "8")
    assert again.code == 0 and "nothing was rendered" in again.out and "8 objects failed" in again.out


def test_the_reason_of_a_failure_reaches_a_parent_that_has_neither_blender_nor_torch():
    """PyTorch would take 250 MB and seconds in each render process, and in this parent."""
    script = (
        "import pickle, sys; from render.model_errors import ModelError; import render.dataset, render.check;"
        "assert str(pickle.loads(pickle.dumps(ModelError('why')))) == 'why';"
        "sys.exit(bool({'bpy', 'render.blender', 'torch'}.intersection(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_a_mended_model_is_rendered_once_the_list_of_failures_is_deleted(tmp_path):
    models, out = tmp_path / "models", tmp_path / "views"
    for name in GOOD:
        write_model(models / "02876657" / name, TRIANGLE)
    write_model(models / "02876657" / "bottle1", "")
    arguments = ("render", models, out, *SMALL, "--workers", "1")
    assert call(*arguments).code == 1
    assert list(failures_of(out)) == ["bottle1"] and objects_of(out) == 3

    write_model(models / "02876657" / "bottle1", TRIANGLE)
    assert "nothing was rendered" in call(*arguments).out
    (out / "failures.jsonl").unlink()
    mended = call(*arguments)
    assert mended.code == 0 and "failed" not in mended.out
    assert "9 of 12 views are there already" in mended.err
    assert objects_of(out) == 4 and failures_of(out) == {}
    assert call("verify", out).code == 0

    fresh = tmp_path / "fresh"
    assert call("render", models, fresh, *SMALL, "--workers", "1").code == 0
    assert digests(fresh) == digests(out)


def test_where_no_model_can_be_rendered_the_command_fails(tmp_path):
    for name in GOOD:
        write_model(tmp_path / "models" / "02876657" / name, "")
    out = tmp_path / "views"
    result = call("render", tmp_path / "models", out, *SMALL, "--workers", "1")
    assert result.code == 1
    assert (
        result.error == f"none of the 4 objects could be rendered; {out / 'failures.jsonl'} says why for each"
    )
    assert set(failures_of(out)) == set(GOOD)


def test_a_worker_that_is_killed_is_replaced_and_its_object_tried_again(tmp_path):
    models, out = tmp_path / "models", tmp_path / "views"
    write_model(models / "02876657" / "bottle0", TRIANGLE)
    waits = write_model(models / "02876657" / "bottle1", None)
    os.mkfifo(waits)
    with started("render", models, out, *SMALL, "--workers", "1") as process:
        with wait_for_reader(waits, process):
            (worker,) = render_workers(process.pid)
            waits.unlink()
            waits.write_text(TRIANGLE)
            os.kill(worker.pid, signal.SIGKILL)
        result = ended(process)
    assert result.code == 0, result.err
    assert failures_of(out) == {} and objects_of(out) == 2
    assert call("verify", out).code == 0


@pytest.mark.skipif(not Path("/proc/self/oom_score_adj").exists(), reason="only Linux has it")
def test_when_memory_runs_out_the_kernel_would_end_workers_before_their_parent(tmp_path):
    write_model(tmp_path / "models" / "02876657" / "bottle1", TRIANGLE)
    waits = write_model(tmp_path / "models" / "02876657" / "bottle0", None)
    os.mkfifo(waits)

    def score(pid: int) -> int:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())

    with (
        started("render", tmp_path / "models", tmp_path / "views", *SMALL, "--workers", "1") as process,
        wait_for_reader(waits, process),
    ):
        (worker,) = render_workers(process.pid)
        assert score(worker.pid) == 1000 > score(process.pid)


def test_a_blender_that_does_not_start_is_one_sentence(tmp_path):
    write_model(tmp_path / "models" / "02876657" / "bottle0", TRIANGLE)
    (tmp_path / "bpy.py").write_text("raise ImportError('libXrender is missing')")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [*COMMAND, "render", tmp_path / "models", tmp_path / "views", *SMALL, "--workers", "1"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    result = Result(done.returncode, done.stdout, done.stderr)
    assert result.code == 1
    assert "iebench doctor" in result.error
