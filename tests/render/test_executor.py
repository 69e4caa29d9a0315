"""What happens to jobs whose workers crash, hang, vanish or cannot read their models."""

import errno
import signal

import pytest
from pebble import ProcessExpired

from fake_workers import FakeEngine, jobs_named
from render.executor import FAILED_STARTS, run_jobs
from render.limits import Limits
from render.model_errors import ModelError, SourceUnavailable
from render.retries import UNAVAILABLE_IN_A_ROW, TimedOut
from shards.errors import IebenchError

LIMITS = Limits(600, 60)
STALE = SourceUnavailable("/models: Stale file handle")


def outcomes(engine, names):
    """The reason of each job's end, by its object's name."""
    found = run_jobs(jobs_named(names), engine, LIMITS)
    return {outcome.job.item.object_id: (outcome.reason, outcome.attempts) for outcome in found}


def fails(name, error, times=10**9):
    """The end of jobs of which one fails so often."""
    return lambda tried, attempt: error if tried == name and attempt <= times else None


@pytest.mark.parametrize(
    ("error", "attempts", "stopped"),
    [
        (ModelError("it holds no faces"), 1, 1),  # the worker that is there at the end
        (TimedOut("it took longer than 60 s"), 2, 3),
        (ProcessExpired("", code=-signal.SIGSEGV), 2, 3),
        (ProcessExpired("", code=-signal.SIGKILL), 5, 5),
    ],
)
def test_an_object_that_fails_costs_its_own_attempts_and_no_other_object(error, attempts, stopped):
    engine = FakeEngine(fails("b", error))
    found = outcomes(engine, "abc")
    assert found["b"][1] == attempts == engine.tried.count("b")
    assert found["a"] == found["c"] == ("", 1)
    assert engine.stopped == stopped


@pytest.mark.parametrize("error", [ProcessExpired("", code=-signal.SIGKILL), STALE])
def test_what_came_from_outside_is_tried_last_and_an_innocent_object_is_rendered(error):
    engine = FakeEngine(fails("a", error, times=2))
    assert outcomes(engine, "abc") == {"a": ("", 3), "b": ("", 1), "c": ("", 1)}
    assert engine.tried == ["a", "b", "c", "a", "a"]


def test_a_model_that_its_file_system_never_gives_stops_the_run_and_is_not_named():
    ended = []
    with pytest.raises(IebenchError, match=r"Stale file handle.*run the same command again"):
        for outcome in run_jobs(jobs_named("abc"), FakeEngine(fails("a", STALE)), LIMITS):
            ended.append(outcome.job.item.object_id)
    assert ended == ["b", "c"]


def test_a_mount_that_has_gone_stops_the_run_long_before_all_objects_were_tried():
    names = "".join(map(chr, range(256, 1256)))
    engine = FakeEngine(lambda *_: STALE, workers=8)
    with pytest.raises(IebenchError, match="see whether their file system is there"):
        outcomes(engine, names)
    assert len(engine.tried) <= UNAVAILABLE_IN_A_ROW + 2 * engine.workers


def test_models_that_cannot_be_read_now_and_then_do_not_stop_a_run():
    names = "".join(map(chr, range(256, 356)))
    engine = FakeEngine(lambda name, attempt: STALE if attempt == 1 and ord(name) % 2 else None, workers=4)
    assert {reason for reason, _ in outcomes(engine, names).values()} == {""}


def test_workers_that_die_before_they_are_ready_are_one_sentence():
    engine = FakeEngine(fails("", None), start=ProcessExpired("", code=-signal.SIGABRT))
    with pytest.raises(IebenchError, match="the render processes end before they can work"):
        outcomes(engine, "a")
    assert engine.stopped == FAILED_STARTS + 1 + 1


def test_a_start_that_takes_too_long_is_one_sentence():
    engine = FakeEngine(fails("", None), start=TimedOut("it took longer than 300 s"))
    with pytest.raises(IebenchError, match="longer than 300 s"):
        outcomes(engine, "a")


def test_a_full_disk_stops_the_run():
    engine = FakeEngine(fails("a", OSError(errno.ENOSPC, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        outcomes(engine, "abc")
