"""Whatever is killed and whenever: the bytes are those of a quiet run, and only what is bad is named."""

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import MANY_VIEWS, ended, started
from processes import descendants, render_workers, wait_for
from render.retries import ATTEMPTS
from toys import digests_but_attempts

pytestmark = pytest.mark.blender


MOST_KILLS = 2
"""However they fall, no innocent object meets so many that it would be given up, which takes ``ATTEMPTS``."""
assert MOST_KILLS < ATTEMPTS


@contextlib.contextmanager
def a_killer_of_workers(parent: int, out: Path, chance: random.Random) -> Iterator[list[int]]:
    """Kills a random render worker each time some progress is made; gives the ids of those it killed."""
    over = threading.Event()
    killed: list[int] = []

    def progress() -> int:
        with contextlib.suppress(OSError):
            return (out / ".render" / "objects").stat().st_mtime_ns
        return 0

    def kill() -> None:
        seen = progress()
        while len(killed) < MOST_KILLS and not over.wait(0.05):
            if progress() == seen:
                continue
            over.wait(chance.uniform(0.0, 0.5))
            if workers := render_workers(parent):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(victim := chance.choice(workers).pid, signal.SIGKILL)
                    killed.append(victim)
                seen = progress()

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def test_parents_and_workers_killed_at_random_change_nothing(quiet_run, mixed_models, tmp_path):
    out, chance = tmp_path / "views", random.Random(10)
    for _ in range(2):
        with started("render", mixed_models, out, *MANY_VIEWS) as process:
            time.sleep(chance.uniform(0.2, 4.0))
            children = descendants(process.pid)
            process.kill()
            ended(process)
        wait_for(lambda children=children: not any(child.alive for child in children))
    with (
        started("render", mixed_models, out, *MANY_VIEWS) as process,
        a_killer_of_workers(process.pid, out, chance) as killed,
    ):
        result = ended(process)
    assert result.code == 0, result.err
    assert killed
    assert digests_but_attempts(out) == quiet_run
