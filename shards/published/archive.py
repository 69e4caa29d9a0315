"""The published archive as it was downloaded: read in place where it is a ``.tar``, else once through a spool.

Shards hold objects in the order of the catalogue, archives in any order, and a compressed archive can be read from its
start only. So it is decompressed once, front to back, into one file (``OUT/.pack/archive.tar``), and the views are read
out of that by their places. Nothing is unpacked, so no name in an archive ever becomes a path.
"""

import bz2
import gzip
import json
import lzma
import os
import zlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, BinaryIO

from shards.errors import IebenchError, UsageError
from shards.files import write_text
from shards.lists import Name
from shards.published.layout import file_code, object_place, view_of_file
from shards.published.published_source import SourceObject
from shards.tar import BLOCK, NO_REGULAR_FILE, Damage, begins_tar, read_members

SPOOL_NAME = "archive.tar"
_RECORD_NAME = "archive.json"
LARGEST_FILE = 1 << 26
"""Bytes of a view's image or latents; larger ones are no such file."""
MOST_EXPANSION = 100
"""Bytes that come of one byte of an archive; JPEGs give little more than one, a bomb of zeros a thousand."""
_LARGEST_LICENSE = 1 << 16
_CHUNK = 1 << 20
_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_TWICE, _NO_FILE = -1, -2  # instead of an offset


@dataclass
class ArchiveSource:
    """Objects in an archive whose members are at known places; as of ``shards.published.published_source.PublishedSource``.

    Attributes:
        path: The uncompressed archive.
        shown: The archive's name, for people.
        objects: For each object code, offset and size of each of its files, one after the other.
        license_place: Offset and size of the file LICENSE; sizes of 0 mean that there is none.
    """

    path: Path
    shown: str
    objects: dict[Name, array] = field(default_factory=dict)
    license_place: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return self.shown

    def names(self) -> list[Name]:
        """As of ``PublishedSource``.

        Raises:
            UsageError: there is no object.
        """
        if not self.objects:
            raise UsageError(
                f"{self.shown} holds no object: expected .../synset/object/image_0.jpg and latent_0.npy"
            )
        return sorted(self.objects)

    def holds(self, item: SourceObject) -> bool:
        """As of ``PublishedSource``."""
        return item.name in self.objects

    def view_count(self, item: SourceObject) -> int:
        """As of ``PublishedSource``."""
        return 1 + max(self.objects.get(item.name, array("q"))[::3], default=-2) // 2

    def has(self, item: SourceObject, name: str) -> bool:
        """As of ``PublishedSource``."""
        return file_code(name) in self.objects.get(item.name, array("q"))[::3]

    def read(self, item: SourceObject, name: str) -> bytes:
        """As of ``PublishedSource``."""
        files = self.objects.get(item.name, array("q"))
        code = file_code(name)
        places = [
            (files[place + 1], files[place + 2]) for place in range(0, len(files), 3) if files[place] == code
        ]
        if not places:
            raise IebenchError(f"{name} is missing")
        if len(places) > 1:
            raise IebenchError(f"{name} is in the archive {len(places)} times")
        offset, size = places[0]
        if offset == _NO_FILE:
            raise IebenchError(f"{name} is no file")
        if size > LARGEST_FILE:
            raise IebenchError(f"{name} has {size:,} bytes, and at most {LARGEST_FILE:,} are read")
        try:
            return _read_at(self.path, offset, size)
        except OSError as error:
            raise IebenchError(f"{name} cannot be read: {error.strerror}") from None

    def share(self, objects: Sequence[SourceObject]) -> "ArchiveSource":
        """As of ``PublishedSource``: only what these objects need, since a whole archive has millions of members."""
        known = {item.name: self.objects[item.name] for item in objects if item.name in self.objects}
        return ArchiveSource(self.path, self.shown, known)

    def license_text(self) -> str:
        """As of ``PublishedSource``."""
        return _read_at(self.path, *self.license_place).decode("utf-8", "replace")


def is_archive(path: Path) -> bool:
    """Whether a source is an archive rather than a folder: whatever is a file."""
    return path.is_file()


def open_archive(
    path: Path, spool: Path, tell: Callable[[int, int], object] = lambda done, total: None
) -> ArchiveSource:
    """Finds the views in an archive.

    Args:
        path: A ``.tar``, or one that gzip, bzip2 or xz compressed.
        spool: The folder for the decompressed archive, which takes as much room as the archive unpacked; what an
            interrupted call left there is taken up.
        tell: Told how many of the archive's bytes have been decompressed, and how many there are.

    Raises:
        UsageError: it is no such archive.
        IebenchError: the archive is cut short or damaged.
    """
    with path.open("rb") as stream:
        head = stream.read(BLOCK)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    if opener is None and not begins_tar(head):
        raise UsageError(f"{path} is no .tar, .tar.gz, .tar.bz2 or .tar.xz archive")
    return _scan(_spooled(path, opener, spool, tell) if opener else path, path)


def _spooled(
    path: Path,
    opener: Callable[[BinaryIO], IO[bytes]],
    folder: Path,
    tell: Callable[[int, int], object],
) -> Path:
    """The decompressed archive."""
    status = path.stat()
    identity = {"bytes": status.st_size, "changed": status.st_mtime_ns}
    record, spool = folder / _RECORD_NAME, folder / SPOOL_NAME
    known = json.loads(record.read_text()) if record.is_file() else {}
    if known == {**identity, "whole": True}:
        return spool
    if known != {**identity, "whole": False}:
        spool.unlink(missing_ok=True)
        write_text(record, json.dumps({**identity, "whole": False}))
    with path.open("rb") as compressed, spool.open("ab") as out:
        try:
            _decompress(opener(compressed), compressed, out, status.st_size, path, tell)
        except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, ValueError) as error:
            raise IebenchError(f"{path} is cut short or damaged ({error}); download it again") from None
        out.flush()
        os.fsync(out.fileno())
    write_text(record, json.dumps({**identity, "whole": True}))
    return spool


def _decompress(
    stream: IO[bytes],
    compressed: BinaryIO,
    out: IO[bytes],
    size: int,
    path: Path,
    tell: Callable[[int, int], object],
) -> None:
    """Adds to ``out`` what it lacks of a stream; what it has already is decompressed again but not written."""
    written, place = out.tell(), 0
    most = MOST_EXPANSION * size + (1 << 24)
    while chunk := stream.read(_CHUNK):
        if not place and not begins_tar(chunk[:BLOCK]):
            raise UsageError(f"{path} is compressed and holds no tar archive")
        out.write(chunk[max(0, written - place) :])
        place += len(chunk)
        if place > most:
            raise UsageError(f"{path} gives more than {MOST_EXPANSION} times its bytes, which no views do")
        tell(min(compressed.tell(), size), size)
    if place < written:
        raise ValueError(f"it ends after {place:,} bytes, and {written:,} were read before")


def _scan(path: Path, archive: Path) -> ArchiveSource:
    """The places of all views of an uncompressed archive, by its headers alone."""
    source = ArchiveSource(path, str(archive))
    with path.open("rb", buffering=BLOCK) as stream:
        for member in read_members(stream, lambda number, name: False):
            if isinstance(member, Damage):
                if member.message != NO_REGULAR_FILE:
                    place = f"after {member.after}" if member.after else "at its start"
                    raise IebenchError(f"{archive} is damaged ({place}: {member.message}); download it again")
                _add(source, member.name, _NO_FILE, 0)
            elif member.name.rpartition("/")[2] == "LICENSE" and member.size <= _LARGEST_LICENSE:
                source.license_place = member.start, member.size
            else:
                _add(source, member.name, member.start, member.size)
    return source


def _add(source: ArchiveSource, name: str, offset: int, size: int) -> None:
    """Notes a member whose name ends with synset/object/file; whatever stands before that does not count."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if len(parts) < 3 or ".." in parts or view_of_file(parts[-1]) is None:
        return
    synset, object_id, file = parts[-3:]
    try:
        object_place(synset, object_id)
    except IebenchError:  # hidden, as what iebench and other programs keep for themselves
        return
    source.objects.setdefault((synset, object_id), array("q")).extend((file_code(file), offset, size))


def _read_at(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as stream:
        return os.pread(stream.fileno(), size, offset)
