"""Each render process of a machine has a number of its own, free again when the process ends."""

import subprocess
import sys

import pytest

HOLDER = (
    "import sys; from pathlib import Path; from render.slots import take_slot;"
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
