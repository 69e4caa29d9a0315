"""A render can be stopped at any moment: nothing is lost, doubled or left running."""

import multiprocessing
import os
import shutil
import signal
import tempfile
import time

import pytest
from pebble import ProcessPool

from commands import SMALL, call, ended, run, started
from models import TRIANGLE, write_model
from processes import descendants, render_workers, wait_for, wait_for_reader
from render.limits import Limits
from render.local import LocalWorker
from render.scratch import Scratch
from render.settings import RenderSettings
from toys import digests

pytestmark = pytest.mark.blender


def something_is_done(out):
    """An object is staged, or stands in a sealed shard already."""
    return [*(out / ".render" / "objects").glob("*.json"), *out.glob("*.tar")]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, 130)],
    ids=["SIGKILL", "SIGINT", "SIGTERM"],
)
def test_a_stopped_render_leaves_no_process_and_goes_on_to_the_same_bytes(
    rendered_dataset, toy_models, tmp_path, number, code
):
    models, out = shutil.copytree(toy_models, tmp_path / "models"), tmp_path / "views"
    waits = write_model(models / "03797390" / "mug-0003", None)
    model = waits.read_bytes()
    waits.unlink()
    os.mkfifo(waits)  # rendered last, so that there is work left whenever the signal comes
    arguments = ("render", models, out, *SMALL, "--workers", "1")
    with started(*arguments) as process:
        wait_for(lambda: something_is_done(out), process=process)
        assert render_workers(process.pid)
        children = descendants(process.pid)
        os.kill(process.pid, number)
        result = ended(process)
    assert result.code == code, result.err
    assert not (out / "dataset.json").exists()
    wait_for(lambda: not any(child.alive for child in children), seconds=240)
    if number == signal.SIGKILL:
        assert "Traceback" not in result.err
    else:
        assert result.error == "stopped; run the same command again to go on where it was"

    refused = call("verify", out)
    assert refused.code != 0 and refused.error

    waits.unlink()
    waits.write_bytes(model)
    resumed = run(*arguments)
    assert resumed.code == 0, resumed.err
    assert "of 24 views are there already" in resumed.err
    assert digests(out) == digests(rendered_dataset)
    assert not (out / ".render").exists()


def test_ctrl_c_in_a_render_that_just_starts_is_one_sentence(toy_models, tmp_path):
    with started("render", toy_models, tmp_path / "views", *SMALL, "--workers", "2") as process:
        wait_for(lambda: len(descendants(process.pid)) == 3, process=process)
        children = descendants(process.pid)  # two, and the one that tracks what they share
        time.sleep(0.03)  # until they listen to signals; they import for longer
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        result = ended(process)
    assert result.code == 130, result.err
    assert result.error == "stopped; run the same command again to go on where it was"
    wait_for(lambda: not any(child.alive for child in children), seconds=240)


@pytest.fixture
def python_interrupts():
    """A test run in the background is handed down SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("python_interrupts")
def test_an_interrupt_while_a_worker_is_started_leaves_no_process(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    schedule = ProcessPool.schedule

    def interrupted(*arguments, **options):
        future = schedule(*arguments, **options)
        signal.raise_signal(signal.SIGINT)
        return future

    monkeypatch.setattr(ProcessPool, "schedule", interrupted)
    before = set(multiprocessing.active_children())
    with pytest.raises(KeyboardInterrupt):
        LocalWorker(RenderSettings(), tmp_path, Scratch(), Limits(600, 60)).start()
    assert set(multiprocessing.active_children()) <= before


def test_a_render_that_waits_for_a_hung_object_stops_at_once(tmp_path):
    write_model(tmp_path / "models" / "02876657" / "bottle0", TRIANGLE)
    os.mkfifo(write_model(tmp_path / "models" / "02876657" / "bottle1", None))
    out = tmp_path / "views"
    with started("render", tmp_path / "models", out, *SMALL, "--workers", "2") as process:
        wait_for(lambda: something_is_done(out), process=process)
        children = descendants(process.pid)
        process.send_signal(signal.SIGINT)
        result = ended(process)
    assert result.code == 130
    assert result.error
    wait_for(lambda: not any(child.alive for child in children), seconds=240)


def test_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on(tmp_path):
    fifo = write_model(tmp_path / "models" / "02876657" / "bottle1", None)
    write_model(tmp_path / "models" / "02876657" / "bottle0", TRIANGLE)
    os.mkfifo(fifo)
    out = tmp_path / "views"
    arguments = ("render", tmp_path / "models", out, *SMALL, "--workers", "1")
    with started(*arguments) as process:
        with wait_for_reader(fifo, process):
            second = call(*arguments)
            fifo.unlink()
            fifo.write_text(TRIANGLE)
        result = ended(process)
    assert second.code == 2
    assert second.error == f"another process is rendering into {out}; wait for it or choose another folder"
    assert result.code == 0, result.err
    assert call("verify", out).code == 0
