"""Processes that end, and the others, whose main threads wait for something that never comes."""

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from iebench.training import watch as watching
from iebench.training.watch import LostProcess, Watch
from processes import PATIENCE, wait_for

WAITS = """
import sys, time
from iebench.training.watch import Watch
rank, count, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
watch = Watch(rank, count, grace=0.2)
watch.join(place)
print("joined", flush=True)
time.sleep(600)  # as in a collective on a GPU
"""


class Ends:
    """Stands for the end of a process, and notes its exit code."""

    def __init__(self) -> None:
        self.codes: list[int] = []
        self._called = threading.Event()

    def __call__(self, code: int) -> None:
        self.codes.append(code)
        self._called.set()

    def wait(self) -> int:
        assert self._called.wait(PATIENCE)
        return self.codes[0]


@contextmanager
def watches(count: int, grace: float = 0.0) -> Iterator[tuple[list[Watch], list[Ends]]]:
    """Those of all ranks, in this process."""
    ends = [Ends() for _ in range(count)]
    found = [Watch(rank, count, end, grace) for rank, end in enumerate(ends)]
    place = found[0].listen("127.0.0.1", True)
    for other in found[1:]:
        other.join(place)
    wait_for(lambda: len(found[0]._peers) == count - 1)
    try:
        yield found, ends
    finally:
        for each in found:
            each.close()


def die(lost: Watch) -> None:
    """What the kernel does for a process that dies, which then says nothing more."""
    lost._left.set()
    connections = list(lost._peers.values())
    lost._peers.clear()  # the dead have no thread that tells of the connections that end first
    for connection in connections:
        connection.shutdown(2)


@pytest.mark.parametrize(("rank", "speaker"), [(2, 0), (0, 1)])
def test_all_end_when_one_dies_and_one_of_them_says_so(rank: int, speaker: int, capfd):
    with watches(3) as (found, ends):
        die(found[rank])
        others = [number for number in range(3) if number != rank]
        assert [ends[number].wait() for number in others] == [1, 1]
        assert {found[number].lost for number in others} == {LostProcess(rank, None)}
    said = [line for line in capfd.readouterr().err.splitlines() if line]
    assert len(said) == 1
    assert said[0].startswith(
        f"Error: process {speaker} of 3 lost the others: process {rank} has ended without a word"
    )


@pytest.mark.parametrize("rank", [0, 2])
def test_an_error_that_one_tells_ends_the_others_with_its_code_and_without_a_word(rank: int, capfd):
    with watches(3) as (found, ends):
        found[rank].leave(4)
        others = [watch for number, watch in enumerate(found) if number != rank]
        heard = [
            watch for watch in others if rank == 0 or watch.rank == 0
        ]  # the connections are those of rank 0
        until = time.monotonic() + 60
        while not all(rank in watch._failed for watch in heard) and time.monotonic() < until:
            time.sleep(0.01)
        assert not any(end.codes for end in ends)  # it is still telling its error
        die(found[rank])
        assert [ends[number].wait() for number in range(3) if number != rank] == [4, 4]
    assert capfd.readouterr().err == ""


def test_a_process_that_fails_and_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "LAST_WORD", 0.3)
    with watches(2) as (found, ends):
        found[1].leave(3)
        assert ends[0].wait() == 3


def test_a_process_that_does_not_come_to_its_end_is_ended(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(watching, "LAST_WORD", 0.1)
    with watches(2) as (found, ends):
        found[0].leave(5)
        found[0].close(ends[0].wait)  # which waits for the very end
        assert ends[0].codes == [5]
        found[0] = Watch(0, 1)
        found[0]._thread.start()


def test_processes_that_are_done_end_in_any_order():
    with watches(3, grace=10) as (found, ends):
        for each in (found[1], found[0], found[2]):
            each.leave()
            each.close()
        assert [each.lost for each in found] == [None] * 3
        assert not any(end.codes for end in ends)
        found.clear()


def test_a_main_thread_that_ends_by_itself_is_left_alone(capfd):
    with watches(2, grace=PATIENCE) as (found, ends):
        die(found[1])
        assert found[0].lost_within(PATIENCE) == LostProcess(1, None)
        found[0].leave(1)
        found[0]._thread.join(PATIENCE)
        assert ends[0].codes == []
    assert capfd.readouterr().err == ""


def test_a_stranger_at_the_port_is_not_heard():
    with watches(2, grace=PATIENCE) as (found, _):
        port = found[0]._listener.getsockname()[1]
        for words in (b"", b"lost 1 -\n", b"0" * 32 + b" 1\n", b"\xff\n", b"\n \n", b"a" * 9000):
            with socket.create_connection(("127.0.0.1", port)) as stranger:
                stranger.sendall(words)
        assert found[0].lost_within(0.3) is None
        assert found[0]._thread.is_alive()
        assert list(found[0]._peers) == [1]


@pytest.mark.processes
def test_a_killed_process_ends_one_that_waits_for_something_else():
    """In processes of their own; the kill is that of a system out of memory."""
    ends = Ends()
    rank_0 = Watch(0, 3, ends, grace=0.0)
    place = rank_0.listen("127.0.0.1", True)
    others = [
        subprocess.Popen(
            [sys.executable, "-c", WAITS, str(rank), "3", place],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (1, 2)
    ]
    try:
        assert [process.stdout.readline() for process in others] == ["joined\n"] * 2
        wait_for(lambda: len(rank_0._peers) == 2)
        others[1].send_signal(signal.SIGKILL)
        assert ends.wait() == 1
        _, err = others[0].communicate(timeout=PATIENCE)
        assert (others[0].returncode, err) == (1, "")  # rank 0 says it
    finally:
        for process in others:
            process.kill()
            process.communicate()
        rank_0.close()
