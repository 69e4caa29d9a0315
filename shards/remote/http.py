"""Reads files at http and https addresses."""

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
from shards.remote.connection import ConnectionDropped

SECONDS_TO_CONNECT = 15.0
SECONDS_OF_SILENCE = 60.0

_RANGE = re.compile(r"bytes (\d+)-")
MOST_REDIRECTS = 10
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 416, 425, 429}  # worth another attempt; 416: the server has fewer bytes than were asked for


class HttpFile:
    """A file at an http or https address, which is read as one stream from byte ``start`` to before byte ``stop``.

    Redirects are followed to http and https only. They are not followed from https to http, nor from a public address
    to a private one, because only this machine may be able to reach that. An ``Authorization`` header is not sent to
    other hosts.
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
        """Opens the file after following all redirects."""
        address = self._address
        for _ in range(MOST_REDIRECTS + 1):
            # With a size given, fsspec does not ask for it; with a block size of 0, it streams the file.
            file = _filesystem(os.getpid()).open(
                address, "rb", block_size=0, size=1, headers=headers, allow_redirects=False
            )
            location = file.r.headers.get("Location")
            if file.r.status not in _REDIRECTS or not location:
                return file
            file.close()
            target = self._redirected(address, location)
            if urlsplit(target)[:2] != urlsplit(address)[:2]:
                headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            address = target
        raise IebenchError(f"{self._address} redirects more than {MOST_REDIRECTS} times; check the address")

    def _redirected(self, address: str, location: str) -> str:
        """Returns the address to which ``address`` redirects, or raises an error if it must not be followed."""
        target = urljoin(address, location)
        try:
            parts = urlsplit(target)
            host = parts.hostname
        except ValueError:
            host = None
        if not host or parts.scheme not in ("http", "https"):
            raise IebenchError(
                f"{self._address} redirects to an address that is not http, which is not followed"
            )
        if address.startswith("https:") and parts.scheme == "http":
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
            raise ConnectionDropped("the server did not say which part it sends")
        return int(found.group(1))

    def read(self, most: int) -> bytes:
        with _translated(self._address):
            return self._file.read(most)

    def close(self) -> None:
        self._file.close()


def _is_private(host: str) -> bool:
    """Returns whether a host is this machine or in a private network; False if its name cannot be looked up."""
    return any(not ipaddress.ip_address(address).is_global for address in _addresses(host))


def _addresses(host: str) -> list[str]:
    try:
        return [str(entry[4][0]).partition("%")[0] for entry in socket.getaddrinfo(host, None)]
    except OSError:  # a proxy may be able to look it up
        return []


@functools.cache
def _filesystem(process: int) -> HTTPFileSystem:
    """Returns the client of a process. A client that was inherited through a fork has no event loop and cannot be used.

    The inherited client is not closed, because that would close the connections that it shares with the parent.
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
            raise ConnectionDropped(f"the server answered {error.status}") from None
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
        raise ConnectionDropped(_reason(error)) from None


def _reason(error: BaseException) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or "it cannot be connected to"
    if isinstance(error, TimeoutError | FSTimeoutError):
        return "the server was silent for too long"
    return "the connection ended early"
