"""Two real processes, one of which ends while the other waits: in a collective, or deaf to it as on a GPU."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from processes import PATIENCE, free_port
from warm_start import WarmProcess

JOB = """
import os, signal, time
import click
import torch
import torch.distributed as dist
from iebench.cli.exit_codes import FriendlyGroup
from iebench.training.processes import launched
from iebench.training.memory import out_of_memory_as_error
from small_runs import small_recipe

group = FriendlyGroup()

@group.command()
@click.argument("waits")
@click.argument("ends")
def work(waits, ends):
    with launched("cpu") as processes, out_of_memory_as_error(small_recipe(), "RUN", 2):
        if processes.is_first:
            print("waiting", flush=True)
            if waits == "deaf":
                time.sleep(600)
            dist.all_reduce(torch.zeros(1))
        elif ends == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise torch.OutOfMemoryError("CUDA out of memory.")

group()
"""


@contextmanager
def two_processes(script: Path, *arguments: str) -> Iterator[list[subprocess.Popen[str]]]:
    port = str(free_port())
    variables = {
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    started = [
        WarmProcess(
            [sys.executable, str(script), "work", *arguments],
            env={**os.environ, **variables, "RANK": rank, "LOCAL_RANK": rank},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.communicate()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("waits", "ends", "codes", "speaker", "sentence"),
    [
        ("deaf", "killed", [1, -9], 0, "process 1 has ended without a word"),
        ("deaf", "out of memory", [1, 1], 1, "the GPU has no memory left"),
        ("in a collective", "out of memory", [1, 1], 1, "the GPU has no memory left"),
    ],
)
def test_a_process_that_ends_in_a_step_ends_the_other_with_one_sentence(
    tmp_path: Path, waits: str, ends: str, codes: list[int], speaker: int, sentence: str
):
    script = tmp_path / "job.py"
    script.write_text(JOB)
    with two_processes(script, waits, ends) as processes:
        results = [process.communicate(timeout=PATIENCE) for process in processes]
        assert [process.returncode for process in processes] == codes, results
    assert results[0][0] == "waiting\n"
    said = [[line for line in err.splitlines() if line] for _, err in results]
    assert [len(lines) for lines in said] == [int(rank == speaker) for rank in range(2)], said
    assert said[speaker][0].startswith("Error: ")
    assert sentence in said[speaker][0]
