"""A render can be stopped at any moment: nothing is lost, doubled or left running."""

import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from contextlib import closing

import pytest
from pebble import ProcessPool

from commands import SMALL, call, ended, started
from models import write_model
from processes import HeldFile, descendants, render_workers, wait_for
from render.limits import Limits
from render.local import LocalWorker
from render.scratch import Scratch
from render.settings import RenderSettings
from render.worker import WorkerSetup
from toys import digests


def something_is_done(out):
    """An object is staged, or stands in a sealed shard already."""
    return [*(out / ".render" / "objects").glob("*.json"), *out.glob("*.tar")]


@pytest.mark.blender
def test_a_render_stopped_again_and_again_leaves_no_process_and_goes_on_to_the_same_bytes(
    rendered_dataset, toy_models, tmp_path
):
    """By Ctrl-C and by a scheduler, while a worker hangs; ``test_random_kills`` has SIGKILL."""
    models, out = shutil.copytree(toy_models, tmp_path / "models"), tmp_path / "views"
    last = write_model(
        models / "03797390" / "mug-0003", None
    )  # so there is work left whenever the signal comes
    arguments = ("render", models, out, *SMALL, "--workers", "1")
    for number in (signal.SIGINT, signal.SIGTERM):
        with closing(HeldFile(last)) as held, started(*arguments) as process:
            wait_for(lambda: something_is_done(out), process=process)
            held.wait_for_reader(process)
            children = descendants(process.pid)
            assert render_workers(process.pid)
            os.kill(process.pid, number)
            result = ended(process)
        assert result.code == 130, result.err
        assert result.error == "stopped; run the same command again to go on where it was"
        wait_for(lambda children=children: not any(child.alive for child in children), seconds=240)
        assert not (out / "dataset.json").exists()

    refused = call("verify", out)
    assert refused.code != 0 and refused.error
    resumed = call(*arguments)
    assert resumed.code == 0, resumed.err
    assert "of 24 views are there already" in resumed.err
    assert digests(out) == digests(rendered_dataset)
    assert not (out / ".render").exists()


@pytest.mark.blender
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


@pytest.mark.blender
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
        folder = Scratch().worker_folder()
        setup = WorkerSetup(RenderSettings(), tmp_path, folder, os.getpid(), Limits(600, 60))
        LocalWorker(setup).start()
    assert set(multiprocessing.active_children()) <= before


def test_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on(painted, toy_models, tmp_path):
    out = tmp_path / "views"
    arguments = ("render", toy_models, out, *SMALL, "--workers", "1")
    refused = []

    def second_comes(name, attempt):
        refused.append(call(*arguments))

    painted(second_comes)
    assert call(*arguments).code == 0
    said = f"another process is rendering into {out}; wait for it or choose another folder"
    assert {(result.code, result.error) for result in refused} == {(2, said)}
    assert call("verify", out, "--workers", "1").code == 0
