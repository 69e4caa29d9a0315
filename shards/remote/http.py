"""Files at http and https addresses."""

import functools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
from fsspec.exceptions import FSTimeoutError
from fsspec.implementations.http import HTTPFileSystem

from shards.errors import IebenchError
from shards.remote.connection import Dropped

SECONDS_TO_CONNECT = 15.0
SECONDS_OF_SILENCE = 60.0

_RANGE = re.compile(r"bytes (\d+)-")
_PASSING = {408, 416, 425, 429}  # 416: the server has fewer bytes than were asked for


class HttpFile:
    """A file at an http or https address, read as one stream.

    Redirects are followed to http and https only, and what comes without https after a redirect from it is not read.
    """

    def __init__(self, address: str, start: int) -> None:
        self._address = address
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
        with _translated(address):
            # A size spares fsspec from asking for it; without blocks the file is streamed.
            self._file = _filesystem(os.getpid()).open(address, "rb", block_size=0, size=1, headers=headers)
        self.start = self._start_of(self._file.r)

    def _start_of(self, response: Any) -> int:
        schemes = [hop.url.scheme for hop in (*response.history, response)]
        if "https" in schemes and "http" in schemes[schemes.index("https") :]:
            self.close()
            raise IebenchError(f"{self._address} redirects to an address without https, which is not read")
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
                "this host into ~/.netrc"
            ) from None
        raise IebenchError(f"{address} cannot be read: the server answered {error.status}") from None
    except (aiohttp.InvalidURL, aiohttp.RedirectClientError):
        raise IebenchError(
            f"{address} redirects to an address that is not http, which is not followed"
        ) from None
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
