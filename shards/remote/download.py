"""Files that come whole or not at all, over connections that may drop."""

import contextlib
import fcntl
import hashlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from shards.errors import IebenchError
from shards.files import sync_folder
from shards.locks import is_at
from shards.remote.connection import Dropped, NoRanges, RemoteFile, Unreachable
from shards.remote.schemes import open_remote

ATTEMPTS = 7
"""Connections in a row that bring nothing worth it, before giving up: about half a minute of waiting."""
WORTH_IT = 1 << 20
"""New bytes that make an attempt count as no failure. So a long download survives many drops, and still makes at
most ``ATTEMPTS`` * (1 + size / ``WORTH_IT``) connections."""
FIRST_WAIT = 0.5
LONGEST_WAIT = 15.0
WHOLE_ATTEMPTS = 3
"""Times that a file is fetched from its start because what came has another SHA-256."""
CHUNK = 1 << 22


@dataclass
class _Patience:
    """Counts attempts and waits between them, twice as long each time, with jitter."""

    address: str
    failures: int = 0

    def wait(self, reason: str, received: int) -> None:
        """Waits after an attempt that brought ``received`` new bytes.

        Raises:
            Unreachable: it was the last.
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
    """A file that is written from its start on, and the SHA-256 of what is in it."""

    stream: IO[bytes]
    size: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)

    def take_up(self, most: int) -> None:
        """Reads what an earlier attempt left; more than ``most`` bytes are no part of the file."""
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
    """A file as a whole, in memory.

    Raises:
        Unreachable: no attempt did.
        IebenchError: it is not there, may not be read, or has more than ``most`` bytes.
    """
    patience = _Patience(address)
    while True:
        content = bytearray()
        try:
            with _opened(address, 0) as remote:
                while chunk := remote.read(min(CHUNK, most + 1)):
                    content += chunk
                    if len(content) > most:
                        raise IebenchError(f"{address} is larger than {most:,} bytes and cannot be an index")
            return bytes(content)
        except Dropped as error:
            patience.wait(str(error), 0)


def download_range(address: str, start: int, stop: int) -> bytes:
    """Bytes ``start`` to ``stop`` of a file, in memory.

    Raises:
        NoRanges: the server sends nothing but whole files.
        Unreachable: no attempt brought them.
        IebenchError: the file is not there, or may not be read.
    """
    patience = _Patience(address)
    content = bytearray()
    while len(content) < stop - start:
        place = start + len(content)
        try:
            with _opened(address, place, stop) as remote:
                if remote.start != place:
                    if not remote.start:
                        raise NoRanges(f"the server of {address} sends no parts of files")
                    raise Dropped("the server sent another part than it was asked for")
                while len(content) < stop - start:
                    chunk = remote.read(min(CHUNK, stop - start - len(content)))
                    if not chunk:
                        raise Dropped(f"it ended after {len(content):,} of {stop - start:,} bytes")
                    content += chunk
        except Dropped as error:
            patience.wait(str(error), start + len(content) - place)
    return bytes(content)


def download(address: str, path: Path, size: int, sha256: str, is_there: Callable[[], bool]) -> None:
    """Brings a file to ``path``, where it appears only once it is whole and its SHA-256 is right.

    Of several processes and threads that ask for one file, one fetches it and the others wait for it. What a
    process that was killed has fetched is taken up.

    Args:
        address: Address of the file.
        path: Path that the file gets; an existing file is replaced.
        size: its bytes; no more are read.
        sha256: hexadecimal.
        is_there: asked once it is this caller's turn, as another may have fetched the file meanwhile.

    Raises:
        Unreachable: no attempt brought it.
        IebenchError: it is not at the address, may not be read, or has other bytes.
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
    """Reads from where the sink is up to ``size``, over as many connections as it takes."""
    patience = _Patience(address)
    furthest = sink.size
    while sink.size < size:
        try:
            with _opened(address, sink.size) as remote:
                if remote.start != sink.size:
                    sink.start_again()
                    if remote.start:
                        raise Dropped("the server sent another part than it was asked for")
                while sink.size < size:
                    chunk = remote.read(min(CHUNK, size - sink.size))
                    if not chunk:
                        raise Dropped(f"it ended after {sink.size:,} of {size:,} bytes")
                    sink.write(chunk)
        except Dropped as error:
            patience.wait(str(error), sink.size - furthest)
            furthest = max(furthest, sink.size)


@contextlib.contextmanager
def _opened(address: str, start: int, stop: int | None = None) -> Iterator[RemoteFile]:
    remote = open_remote(address, start, stop)
    try:
        yield remote
    finally:
        remote.close()


@contextlib.contextmanager
def _turn(part: Path, is_there: Callable[[], bool]) -> Iterator[IO[bytes] | None]:
    """Opens the unfinished file once no other process or thread has it; gives None where one has finished it.

    The lock is the kernel's and is on the file itself: it ends with its process, and leaves nothing behind.
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
                fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing does not do where a fork has inherited it
        if is_there():
            yield None
            return
