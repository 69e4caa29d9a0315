"""A Ray cluster gives the bytes of one machine, loses only what ran on a lost node, and is left clean."""

import contextlib
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from commands import COMMAND, MANY_VIEWS, SMALL, Result, ended, run, started
from models import TRIANGLE, write_model
from processes import HeldFile, descendants, render_workers, wait_for
from render.catalog import ObjectRef
from render.cluster import RayEngine
from render.plan import Job, PlanSettings
from toys import digests, digests_but_attempts

pytestmark = pytest.mark.blender

LOOPBACK = "127.0.0.2"  # Ray takes 127.0.0.1 for the machine's address in the network
ACCESS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(16)}
"""Only who knows the token may use the cluster of these tests."""
MESSAGES = re.compile(r"(failed: |render: |rendering on |\d+ of \d+ views are there|Error: )")
"""What the command itself says on stderr."""


@pytest.fixture(autouse=True, scope="module")
def ray_installed():
    pytest.importorskip("ray")


@pytest.fixture(scope="module")
def head():
    """A node with one CPU on loopback, and the address of its cluster."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        address = f"{LOOPBACK}:{listener.getsockname()[1]}"
    with node("--head", "--port", address.rpartition(":")[2], "--include-dashboard", "false") as process:
        wait_for(lambda: answers(address), process=process)
        yield address


@pytest.fixture
def address(head, monkeypatch):
    """What the commands of a test connect to."""
    monkeypatch.setenv("RAY_ADDRESS", head)
    for name, value in ACCESS.items():
        monkeypatch.setenv(name, value)
    return head


@contextlib.contextmanager
def node(*arguments: str) -> Iterator[subprocess.Popen]:
    """A node of a Ray cluster; all its processes are killed in the end."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--node-ip-address", LOOPBACK]
    settings = ["--num-cpus", "1", "--object-store-memory", str(100 * 2**20), "--disable-usage-stats"]
    process = subprocess.Popen(
        [*command, *settings, *arguments],
        env={**os.environ, **ACCESS},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        kill_node(process)


def kill_node(process: subprocess.Popen) -> None:
    """As if its machine had lost power."""
    children = descendants(process.pid)
    process.kill()
    for child in children:
        if child.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.pid, signal.SIGKILL)
    process.wait()
    wait_for(lambda: not any(child.alive for child in children), seconds=240)


def answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with contextlib.suppress(OSError):
        socket.create_connection((host, int(port)), 1).close()
        return True
    return False


def noise(result: Result) -> list[str]:
    """Lines on stderr that are not the command's own."""
    lines = result.err.replace("\r", "\n").split("\n")
    return [line for line in lines if line.strip() and not MESSAGES.match(line.lstrip("\x1b[A "))]


def something_is_done(out):
    return [*(out / ".render" / "objects").glob("*.json"), *out.glob("*.tar")]


def test_a_lost_node_costs_only_what_ran_there_and_the_bytes_are_those_of_one_machine(
    address, quiet_run, mixed_models, tmp_path
):
    out = tmp_path / "views"
    with (
        node("--address", address) as second,
        started("render", mixed_models, out, *MANY_VIEWS, "--engine", "ray") as process,
    ):
        wait_for(lambda: render_workers(second.pid), process=process)
        wait_for(lambda: something_is_done(out), process=process)
        kill_node(second)
        result = ended(process, timeout=240)
    assert result.code == 0, result.err
    assert digests_but_attempts(out) == quiet_run
    assert noise(result) == []


def test_a_stopped_driver_leaves_no_actor_and_no_blender(address, tmp_path):
    model = write_model(tmp_path / "models" / "02876657" / "bottle0", TRIANGLE)
    with (
        contextlib.closing(HeldFile(model)) as held,
        started(
            "render", tmp_path / "models", tmp_path / "views", *SMALL, "--engine", "ray", "--workers", "1"
        ) as process,
    ):
        held.wait_for_reader(process)
        (blender,) = render_workers(os.getpid())
        assert actors_of(os.getpid())
        process.send_signal(signal.SIGTERM)
        result = ended(process)
    assert result.code == 130, result.err
    assert result.error == "stopped; run the same command again to go on where it was"
    assert noise(result) == []
    wait_for(lambda: not blender.alive and not actors_of(os.getpid()), seconds=240)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stay_with_the_command_although_ray_takes_them(tmp_path, monkeypatch, number):
    def init(*_, **__):
        signal.signal(number, signal.SIG_IGN)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "logs").mkdir()
    engine = object.__new__(RayEngine)
    engine._ray = SimpleNamespace(init=init)
    engine._first = Job(ObjectRef("class", "a", tmp_path, 0, "train"), PlanSettings(), tmp_path)
    before = signal.signal(number, signal.default_int_handler)  # a shell's background jobs ignore SIGINT
    try:
        engine._connect(1)
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def actors_of(pid: int) -> list[int]:
    """Those descendants that are actors of ours."""
    found = []
    for child in descendants(pid):
        with contextlib.suppress(OSError):
            if b"_Actor" in Path(f"/proc/{child.pid}/cmdline").read_bytes():
                found.append(child.pid)
    return found


def test_without_an_address_a_cluster_is_started_here_and_ended_with_the_command(
    toy_models, rendered_dataset, tmp_path, monkeypatch
):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    out = tmp_path / "views"
    with started("render", toy_models, out, *SMALL, "--engine", "ray", "--workers", "2") as process:
        wait_for(lambda: something_is_done(out), process=process)
        children = descendants(process.pid)
        result = ended(process)
    assert result.code == 0, result.err
    assert digests(out) == digests(rendered_dataset)
    assert noise(result) == []
    wait_for(lambda: not any(child.alive for child in children), seconds=240)


def test_an_object_that_hangs_on_a_node_is_given_up_after_its_time(address, tmp_path):
    write_model(tmp_path / "models" / "02876657" / "bottle0", "")  # may fail for any reason
    out = tmp_path / "views"
    with contextlib.closing(HeldFile(write_model(tmp_path / "models" / "02876657" / "bottle1", TRIANGLE))):
        result = run("render", tmp_path / "models", out, *SMALL, "--engine", "ray", "--view-timeout", "2")
    assert result.code == 1
    assert result.error.startswith("none of the 2 objects could be rendered")
    _, hung = map(json.loads, (out / "failures.jsonl").read_text().splitlines())
    assert (hung["object"], hung["reason"], hung["attempts"]) == (
        "bottle1",
        "reading it, or one of its views, took longer than 2 s",
        2,
    )


def test_without_ray_the_engine_says_what_to_install(toy_models, tmp_path):
    script = "import sys; sys.modules['ray'] = None; from iebench.cli import main; main()"
    command = [
        sys.executable,
        "-c",
        script,
        "render",
        toy_models,
        tmp_path / "views",
        *SMALL,
        "--engine",
        "ray",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240)
    result = Result(done.returncode, done.stdout, done.stderr)
    assert result.code == 2
    assert "`pip install 'iebench[ray]'`" in result.error


def test_a_cluster_that_does_not_answer_is_one_sentence(toy_models, tmp_path):
    command = [*COMMAND, "render", toy_models, tmp_path / "views", *SMALL, "--engine", "ray"]
    environment = {**os.environ, "RAY_ADDRESS": "127.0.0.1:9"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    result = Result(done.returncode, done.stdout, done.stderr)
    assert result.code == 1
    assert result.error.startswith("no Ray cluster could be reached at RAY_ADDRESS=127.0.0.1:9")
