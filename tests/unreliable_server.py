"""A web server on loopback that misbehaves as it is told: it drops, cuts, alters, delays and redirects."""

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SECONDS = 20.0


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one request.

    Attributes:
        status: sent instead of the file.
        drop_after: bytes of the body after which the connection is closed, though more were announced.
        cut_after: bytes after which the body ends as if that were all.
        alter: byte of the body that is flipped.
        location: redirected to.
        linger: seconds at most before the connection is dropped, in which what was sent can be read.
        wait_for: the body is held back until this is set.
        more: bytes that are added to the body.
        shift: bytes by which a part is another than the one that was asked for, and said to be.
    """

    status: int = 0
    drop_after: int | None = None
    cut_after: int | None = None
    alter: int | None = None
    location: str = ""
    linger: float = 0.0
    wait_for: threading.Event | None = None
    more: bytes = b""
    shift: int = 0


@dataclass
class UnreliableServer:
    """Serves a folder; ``faults`` holds, per file name, what goes wrong with its next requests.

    Where ``taken`` tells how many bytes the client has taken in all, a connection lingers only until it has all of them.
    """

    folder: Path
    ranges: bool = True
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    always: dict[str, Fault] = field(default_factory=dict)
    requests: list[tuple[str, str]] = field(default_factory=list)
    required_authorization: str = ""
    address: str = ""
    taken: Callable[[], int] | None = None

    def fault(self, name: str) -> Fault:
        waiting = self.faults.get(name)
        return waiting.pop(0) if waiting else self.always.get(name, Fault())

    def asked(self, name: str) -> list[str]:
        """The ranges with which a file was asked for; empty for all of it."""
        return [header for requested, header in self.requests if requested == name]


@contextmanager
def serving(
    folder: Path, ranges: bool = True, context: ssl.SSLContext | None = None
) -> Iterator[UnreliableServer]:
    """A server of ``folder`` in a thread; with a ``context``, over https."""
    state = UnreliableServer(folder, ranges)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = SECONDS

        def do_GET(self) -> None:
            _answer(self, state)

        def log_message(self, *_: object) -> None:
            """Quiet."""

    with answering(Handler, context) as port:
        state.address = f"{'https' if context else 'http'}://127.0.0.1:{port}/views"
        yield state


@contextmanager
def answering(handler: type[BaseHTTPRequestHandler], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """The port of a server on loopback, which runs in a thread; with a ``context``, over https."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that trusts no one hangs up
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join(SECONDS)


def _answer(handler: BaseHTTPRequestHandler, state: UnreliableServer) -> None:
    name = handler.path.removeprefix("/views/")
    header = handler.headers.get("Range", "")
    state.requests.append((name, header))
    fault = state.fault(name)
    path = state.folder / name
    status, body, extra = 200, b"", {}
    if state.required_authorization and handler.headers.get("Authorization") != state.required_authorization:
        status = 401
    elif fault.location:
        status, extra = 302, {"Location": fault.location}
    elif fault.status:
        status = fault.status
    elif not path.is_file():
        status = 404
    else:
        body = path.read_bytes() + fault.more
        if fault.alter is not None:
            body = bytearray(body)
            body[fault.alter] ^= 1
        if header and state.ranges:
            first, _, last = header.removeprefix("bytes=").partition("-")
            start = int(first) + fault.shift
            stop = min(int(last) + 1 + fault.shift if last else len(body), len(body))
            if start >= len(body):
                status, body = 416, b""
            else:
                status, extra = 206, {"Content-Range": f"bytes {start}-{stop - 1}/{len(body)}"}
                body = body[start:stop]
    if fault.cut_after is not None:
        body = body[: fault.cut_after]
    _send(handler, state, status, extra, bytes(body), fault)


def _send(
    handler: BaseHTTPRequestHandler,
    state: UnreliableServer,
    status: int,
    extra: dict[str, str],
    body: bytes,
    fault: Fault,
) -> None:
    before = state.taken() if state.taken else 0
    handler.send_response(status)
    for name, value in {**extra, "Content-Length": str(len(body)), "Connection": "close"}.items():
        handler.send_header(name, value)
    handler.end_headers()
    if fault.wait_for is not None:
        fault.wait_for.wait(SECONDS)
    try:
        handler.wfile.write(body if fault.drop_after is None else body[: fault.drop_after])
    except OSError:
        return
    if fault.drop_after is not None:
        handler.wfile.flush()
        end = time.monotonic() + fault.linger
        wanted = before + len(body[: fault.drop_after])
        while time.monotonic() < end and (state.taken is None or state.taken() < wanted):
            time.sleep(0.005)
