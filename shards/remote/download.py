"""Downloads files over connections that may drop. A file appears only when it is complete and correct."""

import fcntl
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from shards.errors import IebenchError
from shards.files import sync_folder
from shards.locks import is_at
from shards.remote.connection import ConnectionDropped, RangesUnsupported, RemoteFile, Unreachable

ATTEMPTS = 7
"""Number of failed connections in a row after which a download gives up, having waited about half a minute."""
WORTH_IT = 1 << 20
"""Number of new bytes that makes an attempt a success, even if the connection dropped.

So a long download survives many drops, and still makes at most ``ATTEMPTS`` * (1 + size / ``WORTH_IT``) connections.
"""
FIRST_WAIT = 0.5
"""Wait after the first failure in seconds; it doubles with each further failure."""
LONGEST_WAIT = 15.0
"""Longest wait between two attempts in seconds."""
WHOLE_ATTEMPTS = 3
"""Number of times that a complete file may have a wrong SHA-256 before the download gives up."""
CHUNK = 1 << 22
"""Number of bytes read at once."""


@dataclass
class _Patience:
    """Counts failed attempts and waits between them, each time twice as long, with jitter."""

    address: str
    failures: int = 0

    def wait(self, reason: str, received: int) -> None:
        """Waits after an attempt that brought ``received`` new bytes.

        Raises:
            Unreachable: The attempt was the last.
        """
        self.failures = 0 if received >= WORTH_IT else self.failures + 1
        if self.failures >= ATTEMPTS:
            raise Unreachable(
                f"{self.address} could not be read in {ATTEMPTS} attempts ({reason}); run the same command again once "
                "it can be reached: what has come is kept"
            )
        longest = min(FIRST_WAIT * 2 ** max(0, self.failures - 1), LONGEST_WAIT)
        time.sleep(longest * random.uniform(0.5, 1.0))


@dataclass
class _Sink:
    """A file that is being written from its start on, with its size and SHA-256 so far."""

    stream: IO[bytes]
    size: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def take_up(self, most: int) -> None:
        """Continues what an earlier attempt left. If that is more than ``most`` bytes, it cannot be right."""
        if os.fstat(self.stream.fileno()).st_size > most:
            self.start_again()
        while chunk := self.stream.read(CHUNK):
            self.digest.update(chunk)
            self.size += len(chunk)

    def start_again(self) -> None:
        self.stream.seek(0)
        self.stream.truncate()
        self.size, self.digest = 0, hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        self.stream.write(chunk)
        self.digest.update(chunk)
        self.size += len(chunk)


def download_small(address: str, most: int) -> bytes:
    """Downloads a whole file into memory.

    Raises:
        Unreachable: All attempts failed.
        IebenchError: The file does not exist, may not be read, or has more than ``most`` bytes.
    """
    patience = _Patience(address)
    while True:
        content = bytearray()
        try:
            with closing(_open(address, 0)) as remote:
                while chunk := remote.read(min(CHUNK, most + 1)):
                    content += chunk
                    if len(content) > most:
                        raise IebenchError(f"{address} is larger than {most:,} bytes and cannot be an index")
            return bytes(content)
        except ConnectionDropped as error:
            patience.wait(str(error), 0)


def download_range(address: str, start: int, stop: int) -> bytes:
    """Downloads the bytes from ``start`` up to, but not including, ``stop`` of a file into memory.

    Raises:
        RangesUnsupported: The server only sends whole files.
        Unreachable: All attempts failed.
        IebenchError: The file does not exist or may not be read.
    """
    patience = _Patience(address)
    content = bytearray()
    while len(content) < stop - start:
        position = start + len(content)
        try:
            with closing(_open(address, position, stop)) as remote:
                if remote.start != position:
                    if not remote.start:
                        raise RangesUnsupported(f"the server of {address} sends no parts of files")
                    raise ConnectionDropped("the server sent another part than it was asked for")
                while len(content) < stop - start:
                    chunk = remote.read(min(CHUNK, stop - start - len(content)))
                    if not chunk:
                        raise ConnectionDropped(f"it ended after {len(content):,} of {stop - start:,} bytes")
                    content += chunk
        except ConnectionDropped as error:
            patience.wait(str(error), start + len(content) - position)
    return bytes(content)


def download(address: str, path: Path, size: int, sha256: str, is_there: Callable[[], bool]) -> None:
    """Downloads a file to ``path``, where it appears only when it is complete and its SHA-256 is right.

    If several processes or threads ask for one file, one of them downloads it and the others wait; ``is_there`` then
    tells them whether ``path`` is complete. A download that was interrupted continues where it stopped. An existing file
    is replaced, and no more than ``size`` bytes are read.

    Raises:
        Unreachable: All attempts failed.
        IebenchError: The file does not exist at the address, may not be read, or has a wrong SHA-256.
        OSError: ``path`` cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    with _turn(part, is_there) as stream:
        if stream is None:
            return
        if is_there():
            part.unlink()
            return
        sink = _Sink(stream)
        sink.take_up(size)
        for _ in range(WHOLE_ATTEMPTS):
            _fill(sink, address, size)
            if sink.digest.hexdigest() == sha256:
                stream.flush()
                os.fsync(stream.fileno())
                part.replace(path)
                sync_folder(path.parent)
                return
            sink.start_again()
        part.unlink()
    raise IebenchError(
        f"{path.name} at {address} has another SHA-256 than its index says, {WHOLE_ATTEMPTS} times in a row; it was "
        "altered there, or the dataset is being changed: run `iebench verify` where it was made"
    )


def _fill(sink: _Sink, address: str, size: int) -> None:
    """Downloads the bytes that the sink lacks, up to ``size``, over as many connections as that takes."""
    patience = _Patience(address)
    furthest = sink.size
    while sink.size < size:
        try:
            with closing(_open(address, sink.size)) as remote:
                if remote.start != sink.size:
                    sink.start_again()
                    if remote.start:
                        raise ConnectionDropped("the server sent another part than it was asked for")
                while sink.size < size:
                    chunk = remote.read(min(CHUNK, size - sink.size))
                    if not chunk:
                        raise ConnectionDropped(f"it ended after {sink.size:,} of {size:,} bytes")
                    sink.write(chunk)
        except ConnectionDropped as error:
            patience.wait(str(error), sink.size - furthest)
            furthest = max(furthest, sink.size)


def _open(address: str, start: int, stop: int | None = None) -> RemoteFile:
    """Opens the file at ``address``, at byte ``start`` if the server supports that. It may send bytes from ``stop`` on, too.

    Raises:
        ConnectionDropped: The server is busy or cannot be reached.
        UsageError: A package that the address's scheme needs is not installed.
        IebenchError: The file does not exist, may not be read, or redirects to an address that is not followed.
    """
    # fsspec's clients take a moment to load, and a dataset in a folder does not need them.
    if address.startswith("s3:"):
        from shards.remote.s3 import S3File

        return S3File(address, start)  # needs no stop, because it requests a range at each read
    from shards.remote.http import HttpFile

    if address.startswith("hf:"):
        from shards.remote.hub import hub_headers, hub_url

        return HttpFile(hub_url(address), start, stop, hub_headers())
    return HttpFile(address, start, stop)


@contextmanager
def _turn(part: Path, is_there: Callable[[], bool]) -> Iterator[IO[bytes] | None]:
    """Waits until no other process or thread writes the unfinished file, and opens it; None if one has finished it.

    The unfinished file itself is locked with flock. The kernel releases the lock when its process ends, so a killed
    process leaves no lock behind.
    """
    while True:
        descriptor = os.open(part, os.O_CREAT | os.O_RDWR, 0o644)
        with os.fdopen(descriptor, "r+b") as stream:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                if is_at(descriptor, part):
                    yield stream
                    return
            finally:
                # Closing alone would not unlock the file if a forked process has inherited it.
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        if is_there():
            yield None
            return
