"""A TCP proxy on loopback that breaks connections off."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class CuttingProxy:
    """Hands connections on to a server, and resets some of them in the middle of an answer.

    Attributes:
        address: of the proxy.
        cuts: connections that are still to be reset.
        after: bytes of answers that pass before a connection is reset.
    """

    def __init__(self, server: tuple[str, int], after: int) -> None:
        self._server = server
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.cuts = 0
        self.after = after

    def serve(self) -> None:
        """Takes connections until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._handle, args=[client], daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _handle(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(self._server) as server:
            threading.Thread(target=self._pass_on_requests, args=[client, server], daemon=True).start()
            passed = 0
            while content := server.recv(1024):
                passed += len(content)
                if passed > self.after and self._cuts_now():
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.shutdown(socket.SHUT_RD)
                    return
                client.sendall(content)

    def _cuts_now(self) -> bool:
        with self._lock:
            self.cuts -= 1
            return self.cuts >= 0

    @staticmethod
    def _pass_on_requests(client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := client.recv(65536):
                server.sendall(content)
            server.shutdown(socket.SHUT_WR)


@contextmanager
def cutting_proxy(server: tuple[str, int], after: int) -> Iterator[CuttingProxy]:
    """A proxy that runs until the end of the context."""
    proxy = CuttingProxy(server, after)
    thread = threading.Thread(target=proxy.serve, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.close()
        thread.join(10)
