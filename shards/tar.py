"""Tar members, front to back, each byte looked at.

Fast enough to stand beside an image decoder, and strict: header checksums and padding are checked, and damage is
told rather than taken for the end of the archive. It reads what ``webdataset`` and every other tar writer writes
for regular files: ustar headers, with PAX or GNU headers for long names.
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
_BLANK = 8 * ord(" ")  # what the checksum's own bytes count as
_REGULAR = (b"0", b"\0")
_LONG_NAMES = (b"x", b"L")
_SIZE = slice(124, 135)
_OCTAL = re.compile(rb"[0-7]{11}")
_LONGEST_HEADER = 1 << 20  # bytes of a PAX or GNU header
_LENGTH_DIGITS = 7  # of the length of a PAX record, which is no longer than its header


class Member(NamedTuple):
    """A regular file.

    Attributes:
        name: its whole name.
        data: its bytes; empty where they were not asked for.
        start: the place of its first byte in the archive.
        size: Size of the member, bytes.
    """

    name: str
    data: bytes
    start: int
    size: int


class Damage(NamedTuple):
    """Something that is not as it should be.

    Attributes:
        message: what.
        name: Name of the damaged member, as far as it can be read; empty if the damage is behind the last.
        after: the name of the last sound member before it; empty where there is none.
    """

    message: str
    name: str = ""
    after: str = ""


def read_members(
    stream: BinaryIO, wanted: Callable[[int, str], bool] = lambda number, name: True
) -> Iterator[Member | Damage]:
    """The members of an uncompressed tar in order, and whatever is damaged between them.

    After a damaged header the walk goes on at the next block that is a sound one.

    Args:
        stream: Seekable stream at the start of the archive.
        wanted: told a member's number, from 0, and its name; the bytes of what it does not want are skipped.
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
        if size > end - start:  # of which no reader should be asked for so many bytes
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
    """Whether the first block of a file is that of a tar archive with something in it."""
    return len(block) == BLOCK and _is_sound(block)


def _is_sound(header: bytes) -> bool:
    total = sum(header) - sum(header[_CHECKSUM]) + _BLANK
    return header[_CHECKSUM] == b"%06o\0 " % total and _OCTAL.fullmatch(header[_SIZE]) is not None


def _end_of(stream: BinaryIO) -> int:
    """The place behind the last byte; the stream stays where it is."""
    here = stream.tell()
    end = stream.seek(0, os.SEEK_END)
    stream.seek(here)
    return end


def _seek_sound_header(stream: BinaryIO) -> None:
    """Moves on to the next block that is a sound header or ends the archive."""
    while len(block := stream.read(BLOCK)) == BLOCK:
        if block == _ZEROS or _is_sound(block):
            stream.seek(-BLOCK, io.SEEK_CUR)
            return


def _check_end(stream: BinaryIO, name: str) -> Iterator[Damage]:
    """An archive ends with at least two blocks of zeros, and nothing but zeros."""
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
    """The path of a PAX header, whose records are ``length key=value`` and a newline; None where it is damaged."""
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
