"""Processes that begin with PyTorch imported are processes like any other."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from warm_start import WarmProcess

pytestmark = pytest.mark.processes
TOLD = """
import json, os, sys
told = {"parent": os.getppid(), "leads": os.getsid(0) == os.getpid(), "folder": os.getcwd(), "argv": sys.argv[1:]}
print(json.dumps(told | {"mine": os.environ.get("MINE"), "torch": "torch" in sys.modules}))
print("and this", file=sys.stderr)
sys.exit(7)
"""
WAITS = "import sys, time; print('here', flush=True); time.sleep(600)"


def start(program: str, *arguments: str, **options: object) -> WarmProcess:
    command = [sys.executable, "-c", program, *arguments]
    return WarmProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_it_is_a_child_with_its_own_arguments_environment_folder_and_end(tmp_path: Path):
    environment = os.environ | {"MINE": "yes"}
    with start(TOLD, "a b", cwd=tmp_path, env=environment, start_new_session=True) as process:
        out, err = process.communicate()
    assert (process.returncode, err) == (7, "and this\n")
    expected = {"parent": os.getpid(), "leads": True, "folder": str(tmp_path), "argv": ["a b"], "mine": "yes"}
    assert json.loads(out) == expected | {"torch": True}
    assert "MINE" not in os.environ


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_signals_end_it(number: signal.Signals):
    with start(WAITS) as process:
        assert process.stdout.readline() == "here\n"
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == -number
    assert ("KeyboardInterrupt" in err) is (number == signal.SIGINT)
