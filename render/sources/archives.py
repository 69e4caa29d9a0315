"""The zip files in which ShapeNet is distributed: which objects they hold, and one object out of them.

The directory of a zip file with half a million members takes 300 MB and seconds to read. So it is read once, by the
process that lists the objects; whoever opens an object reads the piece of the directory that tells of it.
"""

import contextlib
import io
import stat
import struct
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from render.model_errors import ModelError, SourceUnavailable
from render.sources.found import Listing, ObjectRef
from render.sources.shapenet import MODEL_FILES
from render.sources.soundness import raise_by_fault
from shards.errors import UsageError
from shards.files import NO_ROOM

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LARGEST_MEMBERS = 2_000
"""Files of one object."""

LARGEST_BYTES = 2**30
"""Bytes of one object, unpacked."""

_CHUNK = 2**20
_NOT_RENDERED = (".binvox", ".json")  # voxels, which are most of the bytes, and statistics

_RECORD, _LENGTHS, _POSITION = 46, 28, 42
"""Size in bytes of the fixed part of a member's record in the central directory, and in it the offsets of three lengths and
of the position."""
_ELSEWHERE = 2**32 - 1
"""Value of a position that needs more than 32 bits and therefore stands in the ZIP64 field behind the name."""


def objects_in_archive(path: Path) -> list[ObjectRef]:
    """The objects of a zip file that has ShapeNetCore's layout inside; empty where it has not.

    Members may start at the synset (``02691156/<id>/models/...``), at the object (``<id>/models/...``; the
    synset is the archive's name), or further up. An object without a mesh is listed with the path that
    ShapeNetCore v2 would have it.

    Raises:
        UsageError: It is no zip file that can be read.
    """
    try:
        if not path.is_file():
            raise ValueError("it is no regular file")
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            members, start = archive.infolist(), archive.start_dir
            stream.seek(start)
            directory = stream.read()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise UsageError(f"{path} is no zip file that can be read ({error}); download it again") from None
    names = [item.filename for item in members if not item.filename.startswith("__MACOSX/")]
    meshes = {
        name.removesuffix(f"/{ending}"): name
        for ending in reversed(MODEL_FILES)  # the last one counts
        for name in names
        if name.endswith(f"/{ending}")
    }
    synsets = {folder.rpartition("/")[0] for folder in meshes}
    # The folder of the object that a file belongs to, in the layout of ShapeNetCore v1 or v2.
    owners = (name.rpartition("/")[0].removesuffix("/models").removesuffix("/images") for name in names)
    folders = {folder for folder in owners if folder.rpartition("/")[0] in synsets}
    listings = _listings(members, directory, start, meshes)
    return [
        ObjectRef(
            synset=PurePosixPath(folder).parent.name or path.stem,
            object_id=PurePosixPath(folder).name,
            path=path,
            member=meshes.get(folder, f"{folder}/{MODEL_FILES[0]}"),
            listing=listings.get(folder),
        )
        for folder in sorted(folders | set(meshes))
        if folder and not PurePosixPath(folder).name.startswith(".")
    ]


@contextlib.contextmanager
def opened_model(item: ObjectRef) -> Iterator[Path]:
    """The path of an object's model, with what belongs to it beside it, for as long as the context lasts.

    An object in an archive is unpacked into a temporary folder.

    Raises:
        ModelError: The archive lacks it, is damaged there, or holds for this object more files or bytes than
            allowed, a link, or a name that leads out of its folder.
        SourceUnavailable: The archive is not the one that was listed.
    """
    if not item.member:
        yield item.path
        return
    if item.listing is None:
        raise ModelError(f"there is no {item.member} in {item.path}")
    prefix = _folder_of_mesh(item.member)
    with tempfile.TemporaryDirectory(prefix="iebench-model-") as temporary:
        target = Path(temporary).resolve()
        try:
            with item.path.open("rb") as stream, _archive_of(item, item.listing, stream) as archive:
                _unpack(archive, prefix, target)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            raise ModelError(
                f"{item.path.name} is damaged or of a kind that cannot be read ({error})"
            ) from None
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise_by_fault(error, item.path)
        yield target / item.member.removeprefix(f"{prefix}/")


def _listings(
    members: Sequence[zipfile.ZipInfo], directory: bytes, start: int, folders: Container[str]
) -> dict[str, Listing]:
    """Finds the byte ranges in which an archive's directory lists each object, by the object's folder.

    Args:
        members: The members in the order of the directory.
        directory: Bytes of the directory, and perhaps more behind it.
        start: Position of the directory in the file.
        folders: The folders of objects in the archive.
    """
    pieces: dict[str, list[tuple[int, int]]] = defaultdict(list)
    offset = shift = 0
    for item in members:
        length = _RECORD + sum(struct.unpack_from("<3H", directory, offset + _LENGTHS))
        (position,) = struct.unpack_from("<L", directory, offset + _POSITION)
        if position != _ELSEWHERE:
            shift = item.header_offset - position
        folder = item.filename
        while (folder := folder.rpartition("/")[0]) and folder not in folders:
            pass
        own = pieces[folder]
        if own and sum(own[-1]) == start + offset:
            own[-1] = (own[-1][0], own[-1][1] + length)
        else:
            own.append((start + offset, length))
        offset += length
    return {folder: Listing(start, shift, tuple(own)) for folder, own in pieces.items()}


class _OneObject(io.RawIOBase):
    """A zip file as it would be if it listed one object alone: up to its directory, and then a shorter directory."""

    def __init__(self, archive: io.BufferedReader, listing: Listing) -> None:
        self._archive = archive
        self._start = listing.directory
        self._position = 0
        records = b""
        for start, length in listing.records:
            archive.seek(start)
            records += archive.read(length)
        self._directory = records + _end_of_archive(listing.directory - listing.shift, len(records))

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._position = offset + (0, self._position, self._start + len(self._directory))[whence]
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        if self._position < self._start:
            self._archive.seek(self._position)
            count = self._archive.readinto(view[: self._start - self._position])
        else:
            piece = self._directory[self._position - self._start :][: len(view)]
            view[: len(piece)] = piece
            count = len(piece)
        self._position += count
        return count


def _end_of_archive(start: int, length: int) -> bytes:
    """The end of a zip file of any size whose directory has a start and a length in bytes (APPNOTE.TXT, 4.3.14 to 16).

    The number of members is left open; zipfile counts them.
    """
    whole = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 0, 0, length, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, start + length, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return whole + locator + end


def _archive_of(item: ObjectRef, listing: Listing, stream: io.BufferedReader) -> zipfile.ZipFile:
    """The part of an archive that is an object's; raises ``SourceUnavailable`` if it is not what was listed."""
    try:
        archive = zipfile.ZipFile(_OneObject(stream, listing))
        names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        names = []
    prefix = _folder_of_mesh(item.member)
    if item.member not in names or not all(name.startswith(f"{prefix}/") for name in names):
        raise SourceUnavailable(f"{item.path} has changed since its objects were listed")
    return archive


def _unpack(archive: zipfile.ZipFile, prefix: str, target: Path) -> None:
    infos = [item for item in archive.infolist() if not item.is_dir()]
    wanted = [item for item in infos if not item.filename.lower().endswith(_NOT_RENDERED)]
    if len(wanted) > LARGEST_MEMBERS:
        raise ModelError(f"it has {len(wanted):,} files; at most {LARGEST_MEMBERS:,} are unpacked")
    copied = 0  # counted, because the sizes in the archive's directory may be false
    for item in wanted:
        destination = target / _safe_name(item, prefix)
        destination.parent.mkdir(parents=True, exist_ok=True)
        with archive.open(item) as source, destination.open("wb") as sink:
            while chunk := source.read(_CHUNK):
                copied += len(chunk)
                if copied > LARGEST_BYTES:
                    raise ModelError(f"it is more than {LARGEST_BYTES / 2**20:,.0f} MiB when unpacked")
                sink.write(chunk)


def _safe_name(item: zipfile.ZipInfo, prefix: str) -> str:
    """A member's name from the object's folder on."""
    name = item.filename.removeprefix(f"{prefix}/")
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ModelError(f"a name in its archive leads out of its folder: {item.filename!r}")
    if stat.S_ISLNK(item.external_attr >> 16):
        raise ModelError(f"its archive holds a link: {item.filename!r}")
    return name


def _folder_of_mesh(member: str) -> str:
    ending = next((ending for ending in MODEL_FILES if member.endswith(f"/{ending}")), MODEL_FILES[1])
    return member.removesuffix(f"/{ending}")
