"""The command line as a person uses it: a process, its exit code and what it says."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner

from processes import PATIENCE, default_interrupt
from warm_start import WarmProcess

COMMAND = [sys.executable, "-m", "iebench"]
LEARNING = {"demo", "eval", "report", "train"}
"""Commands that import PyTorch; they are started with the imports done."""
SMALL = ["--views", "3", "--size", "16", "--samples", "1", "--denoiser", "none", "--objects-per-shard", "3"]
"""The settings of every tiny render in these tests."""
MANY_VIEWS = [*SMALL, "--views", "60", "--workers", "2", "--allow-failures", "2"]
"""Objects that take long enough to be interrupted."""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence of a failed command.

        Fails where there is none, more than one, or a traceback.
        """
        assert "Traceback" not in self.err + self.out
        errors = [line for line in self.err.replace("\r", "\n").split("\n") if line.startswith("Error: ")]
        assert len(errors) == 1, self.err
        assert self.err.rstrip().endswith(errors[0]), self.err
        return errors[0].removeprefix("Error: ")


def run(*arguments: str | Path, timeout: float = PATIENCE) -> Result:
    """Runs a command in a process of its own."""
    with started(*arguments) as process:
        return ended(process, timeout)


def call(*arguments: str | Path) -> Result:
    """Runs a command in this process, which is quicker; what would be a traceback is raised."""
    from iebench.cli import main

    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Result(result.exit_code, result.stdout, result.stderr)


@contextmanager
def started(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A command under way in a session of its own; on leaving, it is killed if it still runs."""
    process = (WarmProcess if arguments[0] in LEARNING else subprocess.Popen)(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=default_interrupt,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], timeout: float = PATIENCE) -> Result:
    """Waits for the end of a started command."""
    out, err = process.communicate(timeout=timeout)
    return Result(process.returncode, out, err)
