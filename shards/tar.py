"""Reads the members of tar archives from front to back, and reports damage.

It is fast enough to run beside an image decoder, and strict: header checksums and padding are checked, and damage is reported
instead of being taken for the end of the archive. It reads regular files with ustar headers, and PAX or GNU headers for
long names, which is what ``webdataset`` and other tar writers write.
"""

import io
import os
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, NamedTuple

BLOCK = 512
DAMAGED_HEADER = "a tar header is damaged"
NO_REGULAR_FILE = "it is no regular file"
_CHECKSUM = slice(148, 156)
_ZEROS = bytes(BLOCK)
_BLANK = 8 * ord(" ")  # the checksum's own bytes count as spaces
_REGULAR = (b"0", b"\0")
_LONG_NAMES = (b"x", b"L")
_SIZE = slice(124, 135)
_OCTAL = re.compile(rb"[0-7]{11}")
_LONGEST_HEADER = 1 << 20  # largest PAX or GNU header that is read, in bytes
_LENGTH_DIGITS = 7  # most digits of a PAX record's length, as a record is no longer than its header


class Member(NamedTuple):
    """A regular file in an archive, with the offset ``start`` of its bytes; ``data`` is empty if it was not wanted."""

    name: str
    data: bytes
    start: int
    size: int


class Damage(NamedTuple):
    """A damaged place in an archive.

    Attributes:
        message: What is wrong there.
        name: Name of the damaged member, as far as it can be read; empty if the damage is after the last member.
        after: Name of the last intact member before the damage; empty if there is none.
    """

    message: str
    name: str = ""
    after: str = ""


def read_members(
    stream: BinaryIO, wanted: Callable[[int, str], bool] = lambda number, name: True
) -> Iterator[Member | Damage]:
    """Yields the members of an uncompressed tar in order, and a ``Damage`` for each damaged place.

    After a damaged header, reading continues at the next block that is an intact header.

    Args:
        stream: Seekable stream at the start of the archive.
        wanted: Function of a member's number, from 0 on, and its name; members for which it is False get no data.
    """
    number, name, long_name, flawed = 0, "", "", False
    end = _end_of(stream)
    while True:
        header = stream.read(BLOCK)
        if header == _ZEROS:
            yield from _check_end(stream, name)
            return
        if len(header) < BLOCK:
            yield Damage("the archive is cut short", after=name)
            return
        if not _is_sound(header):
            yield Damage(DAMAGED_HEADER, _name(header), name)
            _seek_sound_header(stream)
            long_name, flawed = "", False
            continue
        size = int(header[_SIZE], 8)
        fill = -size % BLOCK
        start = stream.tell()
        if size > end - start:  # do not try to read or allocate so many bytes
            yield Damage("the archive is cut short", long_name or _name(header), name)
            return
        kind = header[156:157]
        if kind in _LONG_NAMES:
            text = stream.read(min(size, _LONGEST_HEADER))
            stream.seek(size - len(text), io.SEEK_CUR)
            path = _text(text) if kind == b"L" else _pax_path(text)
            padded = not stream.read(fill).strip(b"\0")
            long_name, flawed = path or "", path is None or not padded
            continue
        before, name, long_name = name, long_name or _name(header), ""
        if flawed:
            yield Damage("the header with its long name is damaged", name, before)
            flawed = False
        if kind not in _REGULAR:
            yield Damage(NO_REGULAR_FILE, name, before)
        if kind not in _REGULAR or not wanted(number, name):
            stream.seek(size + fill, io.SEEK_CUR)
            data = b""
        else:
            data, padding = stream.read(size), stream.read(fill)
            if len(padding) < fill or len(data) < size:
                yield Damage("the archive is cut short", name, before)
                return
            if padding.strip(b"\0"):
                yield Damage("the bytes that fill its last block are not zero", name, before)
        if kind in _REGULAR:
            number += 1
            yield Member(name, data, start, size)


def begins_tar(block: bytes) -> bool:
    """Returns whether the first block of a file begins a tar archive that is not empty."""
    return len(block) == BLOCK and _is_sound(block)


def _is_sound(header: bytes) -> bool:
    total = sum(header) - sum(header[_CHECKSUM]) + _BLANK
    return header[_CHECKSUM] == b"%06o\0 " % total and _OCTAL.fullmatch(header[_SIZE]) is not None


def _end_of(stream: BinaryIO) -> int:
    """Returns the size of the stream, and leaves its position unchanged."""
    here = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(here)
    return end


def _seek_sound_header(stream: BinaryIO) -> None:
    """Moves the stream to the next block that is an intact header or ends the archive."""
    while len(block := stream.read(BLOCK)) == BLOCK:
        if block == _ZEROS or _is_sound(block):
            stream.seek(-BLOCK, io.SEEK_CUR)
            return


def _check_end(stream: BinaryIO, name: str) -> Iterator[Damage]:
    """Checks that the archive ends with at least two blocks of zeros and nothing but zeros."""
    length = 0
    while block := stream.read(1 << 16):
        length += len(block)
        if block.strip(b"\0"):
            yield Damage("there are bytes other than zero behind the last member", after=name)
            return
    if length < BLOCK:
        yield Damage("the archive is cut short behind the last member", after=name)


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:262] == b"ustar" else ""
    return f"{prefix}/{name}" if prefix else name


def _pax_path(records: bytes) -> str | None:
    """Returns the path in a PAX header, or None if the header is damaged.

    Its records are ``length key=value`` and a newline, where the length counts the whole record: ``14 path=a.jpg``.
    """
    path = ""
    while records:
        digits, _, _ = records.partition(b" ")
        length = int(digits) if digits.isdigit() and len(digits) <= _LENGTH_DIGITS else 0
        key, equals, value = records[len(digits) + 1 : length].partition(b"=")
        if not equals or not value.endswith(b"\n") or length > len(records):
            return None
        if key == b"path":
            path = _text(value[:-1])
        records = records[length:]
    return path


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")
