"""What render processes write and throw away stays on the node, and goes."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from processes import wait_for
from render.scratch import Scratch, tail_of

HOLDER = (
    "import sys; from render.scratch import Scratch; print(Scratch().folder, flush=True); sys.stdin.read()"
)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A temporary folder of the system for this test alone."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_scratch_folder_goes_with_all_that_is_in_it(temporary):
    scratch = Scratch()
    worker = scratch.worker_folder()
    (worker / "frame.bmp").write_bytes(b"x")
    assert worker.is_relative_to(temporary)
    scratch.remove()
    assert list(temporary.iterdir()) == []


@pytest.mark.processes
def test_what_a_killed_process_leaves_the_next_one_removes_and_no_other(temporary):
    def hold():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return process, process.stdout.readline().strip()

    (killed, abandoned), (alive, used) = hold(), hold()
    os.kill(killed.pid, signal.SIGKILL)
    killed.communicate()
    wait_for(lambda: killed.poll() is not None)
    scratch = Scratch()
    assert not Path(abandoned).exists() and Path(used).exists()
    scratch.remove()
    alive.communicate()


def test_of_a_long_log_the_end_is_kept(tmp_path):
    (tmp_path / "log").write_bytes(b"a" * 10**6 + b"end")
    assert tail_of(tmp_path / "log") == b"a" * (2**16 - 3) + b"end"
    assert tail_of(tmp_path / "none") == b""
