"""A thread of each process that notices when another one ends, whatever the main thread waits for.

Two ranks, of which the second runs out of memory while the first waits for it in a collective::

    seconds   rank 0                                        rank 1
    0.0       waits in all_gather                           raises; ``leave(1)`` sends "failed 1"
    0.1                                                     prints its sentence (30 s at most) and ends,
                                                            so that its connections close
    0.1       its watch hears it: ``lost`` is set, all
              other ranks are told "lost 1 1"
    3.1       still in the collective, as GPUs' never come
              back: the watch ends the process with code 1

If rank 1 is killed, the kernel closes its connections at 0.0 and nobody has told why, so the watch prints a sentence.
Where the collective does come back with an error, as gloo's does, the main thread asks ``lost_within`` and ends by
itself before the three seconds are over.
"""

import contextlib
import os
import secrets
import selectors
import socket
import sys
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass

from shards.errors import IebenchError

GRACE = 3.0
"""Seconds that the main thread has to end by itself, once another process is gone."""
LAST_WORD = 30.0
"""Seconds that a process has to tell its error and to close its connections."""
_CONNECTING = 60.0
_LONGEST = 200  # characters of a line


@dataclass(frozen=True)
class LostProcess:
    """A process that ended before the job was done; its exit code is None unless it reports its error itself."""

    rank: int
    code: int | None


class Watch:
    """Connections between rank 0 and all other ranks, which a thread of each process listens to.

    When a process is lost, each other one ends: by itself if it can within ``grace`` seconds, and otherwise by ``end``,
    which its thread calls. One of them reports it if the lost process could not.

    Attributes:
        lost: The process that was lost; None as long as all are there.
    """

    def __init__(
        self, rank: int, count: int, end: Callable[[int], object] = os._exit, grace: float = GRACE
    ) -> None:
        self.rank = rank
        self.count = count
        self.lost: LostProcess | None = None
        self._end = end
        self._grace = grace
        self._noticed, self._left = threading.Event(), threading.Event()
        self._own_code = 0
        self._peers: dict[int, socket.socket] = {}
        self._failed: dict[int, tuple[int | None, float]] = {}  # exit code, and until when it may speak
        self._rests: dict[socket.socket, str] = {}  # lines that have not come to their ends
        self._listener: socket.socket | None = None
        self._token = b""
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        ours = weakref.WeakMethod(self._close_sockets)
        # Loader workers are forks; a connection that they hold would outlive this process.
        os.register_at_fork(after_in_child=lambda: (close := ours()) and close())

    def listen(self, address: str, one_node: bool) -> str:
        """Starts the watch of rank 0, and returns what the other ranks need to ``join`` it.

        The address is that of this node as other nodes know it; with ``one_node``, only this node can connect.
        """
        if one_node:
            address = "127.0.0.1"
            self._listener = socket.create_server((address, 0))
        elif socket.has_dualstack_ipv6():
            self._listener = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        else:
            self._listener = socket.create_server(("", 0))
        token = secrets.token_hex(16)
        self._token = token.encode()
        self._thread.start()
        return f"{address} {self._listener.getsockname()[1]} {token}"

    def join(self, contact: str) -> None:
        """Starts the watch of a rank other than 0, by the text that ``listen`` returned in rank 0.

        Raises:
            IebenchError: Rank 0 cannot be reached.
        """
        address, port, token = contact.split()
        try:
            peer = socket.create_connection((address, int(port)), timeout=_CONNECTING)
        except OSError as error:
            raise IebenchError(
                f"process {self.rank} of {self.count} does not reach process 0 at {address}, port {port} "
                f"({error.strerror or error}); let the nodes of a training connect to each other at any port"
            ) from None
        _keep_alive(peer)
        self._peers[0] = peer
        self._say(0, f"{token} {self.rank}")
        self._thread.start()

    def leave(self, code: int = 0) -> None:
        """Tells the others that this process ends by itself: because all are done (0), or by an error's exit code."""
        self._own_code = code
        self._left.set()
        for rank in list(self._peers):
            self._say(rank, f"failed {code}" if code else "done")
        self._wake.send(b"-")

    def lost_within(self, seconds: float) -> LostProcess | None:
        """Waits up to ``seconds`` until a lost process is noticed, and returns it; None if there is none."""
        self._noticed.wait(seconds)
        return self.lost

    def close(self, leaving: Callable[[], object] = lambda: None) -> None:
        """Calls ``leaving``, and ends the process if that takes longer than ``LAST_WORD`` seconds; then ends the thread."""
        limit = threading.Timer(LAST_WORD, self._end, [self._own_code])
        limit.daemon = True
        limit.start()
        leaving()
        limit.cancel()
        limit.join()
        self._left.set()
        self._own_code = 0
        self._wake.send(b"-")
        self._thread.join()
        self._close_sockets()

    @property
    def speaks(self) -> bool:
        """Whether this process is the one that tells of a lost process."""
        return self.rank == (1 if self.lost and self.lost.rank == 0 else 0)

    def describe(self, lost: LostProcess) -> str:
        """Returns the message about a process that ended without a message."""
        return (
            f"process {self.rank} of {self.count} lost the others: process {lost.rank} has ended without a word, as when "
            "memory runs out or a node fails; `iebench train --resume RUN` goes on from the last checkpoint"
        )

    def _run(self) -> None:
        lost = self._await_lost_process()
        if lost is None:
            return
        self.lost = lost
        for rank in list(self._peers):
            self._say(rank, f"lost {lost.rank} {'-' if lost.code is None else lost.code}")
        self._noticed.set()
        if self._left.wait(self._grace):
            return
        if lost.code is None and self.speaks:
            print(f"\nError: {self.describe(lost)}", file=sys.stderr, flush=True)
        self._end(lost.code or 1)

    def _await_lost_process(self) -> LostProcess | None:
        """Waits for the first process that ends too early; returns None if all are done or this process is closed."""
        with selectors.DefaultSelector() as selector:
            for known in (self._woken, self._listener, *self._peers.values()):
                if known is not None:
                    selector.register(known, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select(1.0 if self._failed else None):
                    readable = key.fileobj
                    assert isinstance(readable, socket.socket)
                    if readable is self._woken:
                        if self._woken.recv(64) and self._own_code == 0:
                            return None
                    elif readable is self._listener:
                        stranger, _ = self._listener.accept()
                        _keep_alive(stranger)
                        selector.register(stranger, selectors.EVENT_READ)
                    elif not self._hear(readable):
                        selector.unregister(readable)
                        if lost := self._gone(readable):
                            return lost
                for rank, (code, end) in self._failed.items():
                    if time.monotonic() > end:
                        return LostProcess(rank, code)

    def _hear(self, connection: socket.socket) -> bool:
        """Handles messages of another process; returns whether more may come from it."""
        heard = _receive(connection)
        rank = self._rank_of(connection)
        if heard is None:
            return False
        *lines, self._rests[connection] = (self._rests.get(connection, "") + heard).split("\n")
        for line in lines:
            word, _, rest = line.partition(" ")
            if rank is None:
                if not (secrets.compare_digest(word.encode(), self._token) and rest.isdecimal()):
                    return False
                rank = int(rest)
                self._peers[rank] = connection
            elif word == "done":
                del self._peers[rank]
                return False
            elif word == "failed":
                self._failed[rank] = (int(rest), time.monotonic() + LAST_WORD)
            elif word == "lost":
                lost, code = rest.split()
                self._failed[int(lost)] = (None if code == "-" else int(code), 0.0)
        return rank is not None or len(self._rests[connection]) < _LONGEST

    def _gone(self, connection: socket.socket) -> LostProcess | None:
        """Returns the process whose connection has ended; None if it was a stranger or is done."""
        rank = self._rank_of(connection)
        self._rests.pop(connection, None)
        if rank is None:
            connection.close()
            return None
        del self._peers[rank]
        if self._left.is_set() and self._own_code == 0:  # all are done; the other's word was not heard
            return None
        code, _ = self._failed.get(rank, (None, 0.0))
        return LostProcess(rank, code)

    def _rank_of(self, connection: socket.socket) -> int | None:
        return next((rank for rank, peer in self._peers.items() if peer is connection), None)

    def _say(self, rank: int, text: str) -> None:
        with contextlib.suppress(OSError, KeyError):  # it is gone, of which the thread hears
            self._peers[rank].sendall(f"{text}\n".encode())

    def _close_sockets(self) -> None:
        for connection in (self._listener, self._wake, self._woken, *list(self._peers.values())):
            if connection is not None:
                connection.close()


def _receive(connection: socket.socket) -> str | None:
    """Reads from a connection; returns None if it has ended."""
    try:
        return connection.recv(4096).decode(errors="replace") or None
    except OSError:
        return None


def _keep_alive(connection: socket.socket) -> None:
    """Enables keep-alive messages, because a node that loses power does not close its connections."""
    connection.settimeout(None)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 20), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
