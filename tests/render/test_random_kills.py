"""Whatever is killed and whenever: the bytes are those of a quiet run, and only what is bad is named."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from commands import MANY_VIEWS, ended, run, started
from processes import descendants, render_workers, wait_for
from toys import digests

pytestmark = pytest.mark.blender


@contextlib.contextmanager
def a_killer_of_workers(parent: int, chance: random.Random) -> Iterator[list[int]]:
    """Kills a random render worker of ``parent`` every few seconds; gives the ids of those it killed."""
    over = threading.Event()
    killed: list[int] = []

    def kill() -> None:
        while not over.wait(chance.uniform(2.0, 3.5)):
            if workers := render_workers(parent):
                victim = chance.choice(workers)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim.pid, signal.SIGKILL)
                    killed.append(victim.pid)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_workers_killed_at_random_change_nothing(quiet_run, mixed_models, tmp_path):
    out = tmp_path / "views"
    with (
        started("render", mixed_models, out, *MANY_VIEWS) as process,
        a_killer_of_workers(process.pid, random.Random(20)) as killed,
    ):
        result = ended(process, timeout=120)
    assert result.code == 0, result.err
    assert len(killed) >= 2
    assert digests(out) == quiet_run  # failures.jsonl is among them


def test_a_parent_killed_ten_times_at_random_changes_nothing(quiet_run, mixed_models, tmp_path):
    out = tmp_path / "views"
    chance = random.Random(10)
    for _ in range(10):
        with started("render", mixed_models, out, *MANY_VIEWS) as process:
            time.sleep(chance.uniform(0.2, 4.0))
            children = descendants(process.pid)
            process.kill()
            ended(process)
        wait_for(lambda children=children: not any(child.alive for child in children), seconds=20)
    result = run("render", mixed_models, out, *MANY_VIEWS)
    assert result.code == 0, result.err
    assert digests(out) == quiet_run
