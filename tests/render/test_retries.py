"""How often and when a job is tried again, by who is to blame for its end."""

import pickle
import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
from pebble import ProcessExpired

from render.catalog import ObjectRef
from render.model_errors import ModelError
from render.plan import Job, PlanSettings
from render.retries import ATTEMPTS, CRASHES, JobQueue, TimedOut, WorkerLost, blame_and_reason

KILLED = ProcessExpired("", code=-signal.SIGKILL)
CRASHED = ProcessExpired("", code=-signal.SIGSEGV)


def job(name: str) -> Job:
    return Job(ObjectRef("03797390", name, Path(name), 0, "train"), PlanSettings(), Path())


def queue_of(*names: str) -> JobQueue:
    """A queue from which all jobs were asked for."""
    queue = JobQueue(map(job, names))
    queue.fill(len(names))
    return queue


def tries(error: BaseException) -> tuple[int, str]:
    """How often a job is tried that always ends so, and why it is given up."""
    queue = queue_of("a")
    while attempt := queue.take(0):
        outcome = queue.failed(attempt, error)
    assert outcome is not None and len(queue) == 0
    return outcome.attempts, outcome.reason


@pytest.mark.parametrize(
    ("error", "attempts", "reason"),
    [
        (ModelError("it holds no faces"), 1, "it holds no faces"),
        (TimedOut("it took longer than 4 s"), CRASHES, "it took longer than 4 s"),
        (CRASHED, CRASHES, "Blender was ended by SIGSEGV"),
        (ProcessExpired("", code=-signal.SIGABRT), CRASHES, "Blender was ended by SIGABRT"),
        (ProcessExpired("", code=3), CRASHES, "Blender ended with exit code 3"),
        (ProcessExpired("", code=-50), CRASHES, "Blender was ended by signal 50"),
        (MemoryError("no"), CRASHES, "MemoryError: no"),
        (KILLED, ATTEMPTS, "Blender was ended by SIGKILL, as the kernel does when memory runs out"),
        (ProcessExpired("", code=-signal.SIGTERM), ATTEMPTS, "Blender was ended by SIGTERM"),
        (WorkerLost("its node was lost"), ATTEMPTS, "its node was lost"),
        (BrokenProcessPool(), ATTEMPTS, "its process was ended before it could begin"),
    ],
)
def test_what_comes_from_outside_is_tried_more_often_than_a_crash(error, attempts, reason):
    assert tries(error) == (attempts, reason)


def test_a_job_that_was_killed_comes_after_all_others_and_then_alone():
    queue = queue_of(*"ab")
    assert queue.failed(queue.take(0), KILLED) is None
    names = []
    second = queue.take(0)
    names.append(second.job.item.object_id)
    again = queue.take(1)
    names.append(again.job.item.object_id)
    assert names == ["b", "a"]
    assert queue.failed(again, KILLED) is None
    assert queue.take(1) is None and len(queue) == 1
    assert queue.take(0).number == 3


def test_an_innocent_job_that_was_killed_still_has_both_its_tries_at_a_crash():
    queue = queue_of("a")
    for error in (KILLED, CRASHED, KILLED):
        assert queue.failed(queue.take(0), error) is None
    assert queue.failed(queue.take(0), CRASHED).attempts == 4


def test_the_end_of_a_process_is_told_by_a_node_to_another():
    assert blame_and_reason(pickle.loads(pickle.dumps(CRASHED))) == blame_and_reason(CRASHED)
