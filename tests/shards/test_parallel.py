"""Jobs in processes of their own."""

import os
import signal

import pytest

from shards.errors import IebenchError
from shards.parallel import run_parallel


def square(number):
    return number * number


def ended_from_outside(number):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse(number):
    raise IebenchError(f"no {number}")


@pytest.mark.processes
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_job_is_done_once(workers):
    assert sorted(run_parallel(square, range(20), workers)) == [number * number for number in range(20)]


@pytest.mark.processes
def test_a_process_that_is_killed_is_one_sentence():
    with pytest.raises(IebenchError, match="ended from outside"):
        list(run_parallel(ended_from_outside, range(4), 2))


@pytest.mark.processes
def test_what_a_job_raises_comes_through():
    with pytest.raises(IebenchError, match="no "):
        list(run_parallel(refuse, range(4), 2))
