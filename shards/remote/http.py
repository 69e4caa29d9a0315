"""Files at http and https addresses."""

import functools
import ipaddress
import os
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.http import HTTPFileSystem

from shards.errors import IebenchError
from shards.remote.connection import Dropped

SECONDS_TO_CONNECT = 15.0
SECONDS_OF_SILENCE = 60.0

_RANGE = re.compile(r"bytes (\d+)-")
MOST_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 416, 425, 429}  # 416: the server has fewer bytes than were asked for


class HttpFile:
    """A file at an http or https address, read as one stream.

    Redirects are followed to http and https only: never from https to http, and never from a public address to a
    private one, which may be reachable from here alone.

    Args:
        address: Address of the file.
        start: the first byte that is wanted.
        stop: the byte behind the last that is wanted; by default all are.
        headers: Further headers of the request; a secret among them goes to the address's own host only.
    """

    def __init__(
        self, address: str, start: int, stop: int | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._address = address
        headers = {**(headers or {}), "Accept-Encoding": "identity"}
        if start or stop is not None:
            headers["Range"] = f"bytes={start}-{'' if stop is None else stop - 1}"
        with _translated(address):
            self._file = self._opened(headers)
        self.start = self._start_of(self._file.r)

    def _opened(self, headers: dict[str, str]) -> Any:
        """The file at the end of all redirects."""
        place = self._address
        for _ in range(MOST_REDIRECTS + 1):
            # A size spares fsspec from asking for it; without blocks the file is streamed.
            file = _filesystem(os.getpid()).open(
                place, "rb", block_size=0, size=1, headers=headers, allow_redirects=False
            )
            location = file.r.headers.get("Location")
            if file.r.status not in _REDIRECTS or not location:
                return file
            file.close()
            target = self._redirected(place, location)
            if urlsplit(target)[:2] != urlsplit(place)[:2]:
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            place = target
        raise IebenchError(f"{self._address} redirects more than {MOST_REDIRECTS} times; check the address")

    def _redirected(self, place: str, location: str) -> str:
        """Where ``location`` leads from ``place``, which may be followed."""
        target = urljoin(place, location)
        try:
            parts = urlsplit(target)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise IebenchError(
                f"{self._address} redirects to an address that is not http, which is not followed"
            )
        if place.startswith("https:") and parts.scheme == "http":
            raise IebenchError(f"{self._address} redirects to an address without https, which is not read")
        if _is_private(host) and not _is_private(urlsplit(self._address).hostname or ""):
            raise IebenchError(
                f"{self._address} redirects to a private address, which is not followed from a public one"
            )
        return target

    def _start_of(self, response: Any) -> int:
        if response.status != 206:
            return 0
        found = _RANGE.match(response.headers.get("Content-Range", ""))
        if found is None:
            self.close()
            raise Dropped("the server did not say which part it sends")
        return int(found.group(1))

    def read(self, most: int) -> bytes:
        with _translated(self._address):
            return self._file.read(most)

    def close(self) -> None:
        self._file.close()


def _is_private(host: str) -> bool:
    """Whether a host is this machine, or in a network that is not public, as far as its name can be looked up."""
    return any(not ipaddress.ip_address(address).is_global for address in _addresses(host))


def _addresses(host: str) -> list[str]:
    try:
        return [str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)]
    except OSError:  # a proxy may know it
        return []


@functools.cache
def _filesystem(process: int) -> HTTPFileSystem:
    """One client for each process: what is inherited through a fork has no event loop there.

    The inherited one is kept: closing it would take its connections from the parent, with which it shares them.
    """
    timeout = aiohttp.ClientTimeout(
        total=None, connect=SECONDS_TO_CONNECT, sock_connect=SECONDS_TO_CONNECT, sock_read=SECONDS_OF_SILENCE
    )
    # trust_env: proxies from the environment, names and passwords from ~/.netrc
    return HTTPFileSystem(
        client_kwargs={"timeout": timeout, "trust_env": True, "read_bufsize": 1 << 18},
        skip_instance_cache=True,
    )


@contextmanager
def _translated(address: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise IebenchError(f"{address} is not there; check the address") from None
    except aiohttp.ClientResponseError as error:
        if error.status in _PASSING or error.status >= 500:
            raise Dropped(f"the server answered {error.status}") from None
        if error.status in (401, 403, 407):
            raise IebenchError(
                f"{address} may not be read (the server answered {error.status}); put the name and the password for "
                "this host into ~/.netrc (for the Hub: `hf auth login`, or HF_TOKEN)"
            ) from None
        raise IebenchError(f"{address} cannot be read: the server answered {error.status}") from None
    except aiohttp.InvalidURL:
        raise IebenchError(f"{address} leads to an address that is none; check the address") from None
    except aiohttp.ClientSSLError:
        raise IebenchError(f"{address} cannot be read: the server's certificate is not trusted") from None
    except (aiohttp.ClientError, FSTimeoutError, OSError) as error:
        raise Dropped(_reason(error)) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "it cannot be connected to"
    if isinstance(error, TimeoutError | FSTimeoutError):
        return "the server was silent for too long"
    return "the connection ended early"
