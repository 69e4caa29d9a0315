"""Python processes that begin with PyTorch imported, which takes three seconds of each that imports it itself.

They are forked from a process that holds the imports and does nothing else, and are real processes all the same:
children of the test, with pipes, signals, exit codes and an end of their own.
"""

import ctypes
import functools
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from processes import PATIENCE

ROOT = Path(__file__).parents[1]
IMPORTS = (
    "iebench.cli.evaluating",
    "iebench.cli.learning",
    "iebench.report.page",
    "iebench.training.loop",
    "iebench.training.processes",
    "tensorboard.backend.event_processing.event_accumulator",
    "torch._dynamo",
    "torch.utils.tensorboard",
)
PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
LARGEST_REQUEST = 1 << 20
_GPU = Path("/dev/nvidiactl")


class WarmProcess(subprocess.Popen[str]):
    """A ``subprocess.Popen`` of ``[sys.executable, ...]`` that spares the imports.

    Of its options, those for pipes, ``cwd``, ``env`` and ``start_new_session`` count; SIGINT interrupts it.
    """

    def _execute_child(self, *arguments: Any) -> None:  # type: ignore[override]
        if _GPU.exists():  # CUDA cannot be used in a fork of a process that has looked for devices
            super()._execute_child(*arguments)  # type: ignore[misc]
            return
        asked = _PARAMETERS.bind(self, *arguments).arguments
        program, *rest = map(str, asked["args"])
        assert program == sys.executable, "only Python can be started warm"
        request = {
            "arguments": rest,
            "cwd": str(asked["cwd"] or Path.cwd()),
            "env": dict(os.environ if asked["env"] is None else asked["env"]),
            "session": asked["start_new_session"],
        }
        streams = [asked[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [own if stream == -1 else stream for own, stream in enumerate(streams)]
        try:
            self.pid = _fork(json.dumps(request).encode(), streams)
        finally:
            pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
            self._close_pipe_fds(*(asked[name] for name in pipes))  # type: ignore[attr-defined]
        self._child_created = True


def run_warm(command: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` does, with the output captured."""
    with WarmProcess(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def spawn_warm(function: Callable[..., None], count: int, *arguments: str | int) -> None:
    """As ``torch.multiprocessing.spawn`` does: calls a function with its rank and arguments in each of ``count`` processes."""
    calls = [f"{function.__name__}(*{(rank, *arguments)!r})" for rank in range(count)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        WarmProcess(
            [sys.executable, "-c", f"from {function.__module__} import {function.__name__}; {call}"],
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for call in calls
    ]
    errors = [process.communicate(timeout=PATIENCE)[1] for process in processes]
    assert not any(process.returncode for process in processes), "".join(errors)


_PARAMETERS = inspect.signature(subprocess.Popen._execute_child)  # type: ignore[attr-defined]


def _fork(request: bytes, streams: list[int]) -> int:
    """Has a process forked, which is a child of this one once its id is returned."""
    connection, prctl = _server(), ctypes.CDLL(None).prctl
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        socket.send_fds(connection, [request], streams)
        return int(connection.recv(32))
    finally:
        prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


@functools.cache
def _server() -> socket.socket:
    """Starts the process that holds the imports; it ends with this one, whose end closes the socket."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, str(theirs.fileno())]
    subprocess.Popen(command, pass_fds=[theirs.fileno()], env=environment, start_new_session=True)
    theirs.close()
    return ours


def serve(connection: socket.socket) -> list[str]:
    """Forks a process for each request; returns only in those, with the arguments that Python is to have."""
    while True:
        message, streams, _, _ = socket.recv_fds(connection, LARGEST_REQUEST, 3)
        if not message:
            os._exit(0)
        reading, writing = os.pipe()
        if not (between := os.fork()):
            between = os.getpid()
            if pid := os.fork():
                os.write(writing, str(pid).encode())
                os._exit(0)
            while os.getppid() == between:  # after which this one is a child of the test
                time.sleep(0.001)
            for number in (connection.detach(), reading, writing):
                os.close(number)
            return _become(json.loads(message), streams)
        os.waitpid(between, 0)
        connection.send(os.read(reading, 32))
        for number in (reading, writing, *streams):
            os.close(number)


def _become(request: dict[str, Any], streams: list[int]) -> list[str]:
    if request["session"]:
        os.setsid()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    if threads := os.environ.get("OMP_NUM_THREADS"):
        import torch

        torch.set_num_threads(int(threads))
    return request["arguments"]


def execute(arguments: list[str]) -> None:
    """Does what Python does with its arguments: a module, a program in a string, or a script."""
    first, *rest = arguments
    paths = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    for path in paths:
        if (Path(path) / "sitecustomize.py").is_file():
            runpy.run_path(str(Path(path) / "sitecustomize.py"))
    if first == "-m":
        sys.argv, sys.path[:1] = rest, [str(Path.cwd()), *paths]
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv, sys.path[:1] = ["-c", *rest[1:]], ["", *paths]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[:1] = arguments, [str(Path(first).parent), *paths]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    for name in IMPORTS:
        __import__(name)
    execute(serve(socket.socket(fileno=int(sys.argv[1]))))
