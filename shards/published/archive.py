"""Reads the published views from an archive, as it was downloaded.

Shards hold objects in the order of the catalog, but archives in any order, and a compressed archive can only be read
from its start. So a compressed archive is first decompressed into one file (the spool, ``OUT/.pack/archive.tar``).
Views are read from the ``.tar`` by their offsets. Nothing is unpacked, so no name in an archive ever becomes a path.
"""

import bz2
import gzip
import json
import lzma
import os
import zlib
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, BinaryIO

from shards.errors import IebenchError, UsageError
from shards.files import write_text
from shards.lists import Name
from shards.published.layout import file_code, object_folder, view_of_file
from shards.published.published_source import PublishedSource, SourceObject
from shards.tar import BLOCK, NO_REGULAR_FILE, Damage, begins_tar, read_members

SPOOL_NAME = "archive.tar"
_RECORD_NAME = "archive.json"
LARGEST_FILE = 1 << 26
"""Largest size in bytes of a view's image or latents that is read."""
MOST_EXPANSION = 100
"""Most bytes that one compressed byte may expand to. JPEGs give little more than one, a bomb of zeros a thousand."""
_LARGEST_LICENSE = 1 << 16
_CHUNK = 1 << 20
_OPENERS: dict[bytes, Callable[[BinaryIO], Any]] = {
    b"\x1f\x8b": lambda stream: gzip.GzipFile(fileobj=stream),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
_NO_FILE = -2  # stands in place of an offset

Tell = Callable[[int, int], object]
"""Function that is called with the number of an archive's bytes that are decompressed, and its size."""


@dataclass
class ArchiveSource(PublishedSource):
    """An archive whose members are read by their offsets.

    Attributes:
        path: Path of the uncompressed archive.
        shown: Name of the archive for messages.
        objects: Code, offset and size of each file of an object, one after the other, by the object's name.
        license_range: Offset and size of the file LICENSE; a size of 0 means that there is none.
    """

    path: Path
    shown: str
    objects: dict[Name, array] = field(default_factory=dict)
    license_range: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        return self.shown

    def names(self) -> list[Name]:
        if not self.objects:
            raise UsageError(
                f"{self.shown} holds no object: expected .../synset/object/image_0.jpg and latent_0.npy"
            )
        return sorted(self.objects)

    def holds(self, item: SourceObject) -> bool:
        return item.name in self.objects

    def view_count(self, item: SourceObject) -> int:
        return 1 + max(self.objects.get(item.name, array("q"))[::3], default=-2) // 2

    def has(self, item: SourceObject, name: str) -> bool:
        return file_code(name) in self.objects.get(item.name, array("q"))[::3]

    def read(self, item: SourceObject, name: str) -> bytes:
        files = self.objects.get(item.name, array("q"))
        code = file_code(name)
        found = [
            (files[start + 1], files[start + 2]) for start in range(0, len(files), 3) if files[start] == code
        ]
        if not found:
            raise IebenchError(f"{name} is missing")
        if len(found) > 1:
            raise IebenchError(f"{name} is in the archive {len(found)} times")
        offset, size = found[0]
        if offset == _NO_FILE:
            raise IebenchError(f"{name} is no file")
        if size > LARGEST_FILE:
            raise IebenchError(f"{name} has {size:,} bytes, and at most {LARGEST_FILE:,} are read")
        try:
            return _read_at(self.path, offset, size)
        except OSError as error:
            raise IebenchError(f"{name} cannot be read: {error.strerror}") from None

    def share(self, objects: Sequence[SourceObject]) -> "ArchiveSource":
        """Returns a source of only these objects; the offsets of the published dataset take 126 MB."""
        return replace(
            self, objects={item.name: self.objects[item.name] for item in objects if self.holds(item)}
        )

    def license_text(self) -> str:
        return _read_at(self.path, *self.license_range).decode("utf-8", "replace")


def is_archive(path: Path) -> bool:
    """Returns whether a path is an archive, which is any file, and not a folder."""
    return path.is_file()


def open_archive(path: Path, spool: Path, tell: Tell = lambda done, total: None) -> ArchiveSource:
    """Finds the views in a ``.tar``, which may be compressed with gzip, bzip2 or xz.

    A compressed archive is first decompressed into the folder ``spool``, which needs as much room as the unpacked
    archive. An interrupted call is continued.

    Raises:
        UsageError: The file is not such an archive.
        IebenchError: The archive is cut short or damaged.
    """
    with path.open("rb") as stream:
        head = stream.read(BLOCK)
    opener = next((opener for magic, opener in _OPENERS.items() if head.startswith(magic)), None)
    if opener is None and not begins_tar(head):
        raise UsageError(f"{path} is no .tar, .tar.gz, .tar.bz2 or .tar.xz archive")
    return _scan(_spooled(path, opener, spool, tell) if opener else path, path)


def _spooled(path: Path, opener: Callable[[BinaryIO], IO[bytes]], folder: Path, tell: Tell) -> Path:
    """Decompresses an archive into its spool, unless that is done already, and returns the spool's path."""
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
    stream: IO[bytes], compressed: BinaryIO, out: IO[bytes], size: int, path: Path, tell: Tell
) -> None:
    """Appends to ``out`` the bytes of a stream that it lacks. Earlier bytes are decompressed again but not written."""
    written, position = out.tell(), 0
    most = MOST_EXPANSION * size + (1 << 24)
    while chunk := stream.read(_CHUNK):
        if not position and not begins_tar(chunk[:BLOCK]):
            raise UsageError(f"{path} is compressed and holds no tar archive")
        out.write(chunk[max(0, written - position) :])
        position += len(chunk)
        if position > most:
            raise UsageError(f"{path} gives more than {MOST_EXPANSION} times its bytes, which no views do")
        tell(min(compressed.tell(), size), size)
    if position < written:
        raise ValueError(f"it ends after {position:,} bytes, and {written:,} were read before")


def _scan(path: Path, archive: Path) -> ArchiveSource:
    """Finds the offsets of all views in an uncompressed archive by reading only its headers."""
    source = ArchiveSource(path, str(archive))
    with path.open("rb", buffering=BLOCK) as stream:
        for member in read_members(stream, lambda number, name: False):
            if isinstance(member, Damage):
                if member.message != NO_REGULAR_FILE:
                    where = f"after {member.after}" if member.after else "at its start"
                    raise IebenchError(f"{archive} is damaged ({where}: {member.message}); download it again")
                _add(source, member.name, _NO_FILE, 0)
            elif member.name.rpartition("/")[2] == "LICENSE" and member.size <= _LARGEST_LICENSE:
                source.license_range = member.start, member.size
            else:
                _add(source, member.name, member.start, member.size)
    return source


def _add(source: ArchiveSource, name: str, offset: int, size: int) -> None:
    """Adds a member to the source if its name ends with synset/object/file; folders before that are ignored."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if len(parts) < 3 or ".." in parts or view_of_file(parts[-1]) is None:
        return
    synset, object_id, file = parts[-3:]
    try:
        object_folder(synset, object_id)
    except IebenchError:  # a hidden name, which iebench and other programs use for their own files
        return
    source.objects.setdefault((synset, object_id), array("q")).extend((file_code(file), offset, size))


def _read_at(path: Path, offset: int, size: int) -> bytes:
    with path.open("rb", buffering=0) as stream:
        return os.pread(stream.fileno(), size, offset)
