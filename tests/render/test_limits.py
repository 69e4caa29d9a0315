"""A step of a render process that takes too long ends the process, whatever it hangs in."""

import signal
import subprocess
import sys

import pytest

from render.limits import LOADING, Limits, limits_of
from render.settings import PRESETS

HANGS = {
    "in Python": "while True: pass",
    "in a read": "os.read(os.pipe()[0], 1)",
    "in C": "sum(range(10**15))",
}


@pytest.mark.processes
@pytest.mark.parametrize("how", HANGS)
def test_a_process_that_hangs_is_ended_by_the_kernel(how):
    script = f"import os\nfrom render.limits import alarm\nwith alarm(0.05):\n    {HANGS[how]}"
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == -signal.SIGALRM


@pytest.mark.processes
def test_a_step_that_ends_in_time_has_no_alarm_after_it():
    script = "import time\nfrom render.limits import alarm\nwith alarm(0.05): pass\ntime.sleep(0.1)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60).returncode == 0


def test_a_view_may_take_longer_where_it_is_larger_or_has_more_samples():
    standard, reference = PRESETS["standard"], PRESETS["reference"]
    large = reference.model_copy(update={"image_size": 1024})
    assert limits_of(standard) == Limits(LOADING, 60)
    # Measured on an idle core: 6.5 s at 256 px, and the time grows with the area.
    assert limits_of(reference).view > 10 * 6.5
    assert limits_of(large).view > 10 * 16 * 6.5


def test_a_person_may_say_how_long_a_step_takes():
    assert limits_of(PRESETS["reference"], 7) == Limits(7, 7)
