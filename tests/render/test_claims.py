"""Each render process of a machine has a number of its own, free again when the process ends."""

import fcntl
import os
import socket
import subprocess
import sys

import pytest

from render.claims import node_folder
from render.device_choice import CPU, Device
from render.worker import _turn_to_compile

HOLDER = (
    "import sys; from pathlib import Path; from render.claims import take_slot;"
    "print(take_slot(Path(sys.argv[1])), flush=True); sys.stdin.read()"
)


@pytest.fixture
def hold(tmp_path):
    """Starts a process that takes a slot; ends it when the test does."""
    processes = []

    def start() -> tuple[subprocess.Popen, int]:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        processes.append(process)
        return process, int(process.stdout.readline())

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.mark.processes
def test_processes_are_numbered_from_zero_and_a_killed_ones_number_is_given_again(hold):
    (_, first), (second, number), (_, third) = hold(), hold(), hold()
    assert (first, number, third) == (0, 1, 2)
    second.kill()
    second.wait()
    assert hold()[1] == 1
    assert hold()[1] == 3


def test_workers_of_one_machine_compile_kernels_in_turn_and_those_of_another_do_not_wait(
    tmp_path, monkeypatch
):
    def is_free(host: str) -> bool:
        monkeypatch.setattr(socket, "gethostname", lambda: host)
        descriptor = os.open(node_folder(tmp_path) / "kernels", os.O_CREAT | os.O_RDWR)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)
        return True

    monkeypatch.setattr(socket, "gethostname", lambda: "one")
    with _turn_to_compile(tmp_path, Device("optix", "H100", "0")):
        assert not is_free("one") and is_free("another")
    assert is_free("one")
    with _turn_to_compile(tmp_path, CPU):
        assert is_free("one")
