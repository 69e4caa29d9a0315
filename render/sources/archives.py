"""The zip files in which ShapeNet is distributed: which objects they hold, and one object out of them."""

import contextlib
import functools
import stat
import tempfile
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from render.model_errors import ModelError
from render.sources.found import FoundModel
from render.sources.shapenet import MODEL_FILES
from render.sources.soundness import raise_by_fault
from shards.errors import UsageError
from shards.files import NO_ROOM

LARGEST_MEMBERS = 2_000
"""Files of one object."""

LARGEST_BYTES = 2**30
"""Bytes of one object, unpacked."""

_CHUNK = 2**20
_NOT_RENDERED = (".binvox", ".json")  # voxels, which are most of the bytes, and statistics
_ARCHIVES_AT_HAND = 2  # a catalogue goes through them one after the other


@dataclass(frozen=True)
class _Archive:
    file: zipfile.ZipFile
    objects: dict[str, list[zipfile.ZipInfo]]  # by the object's folder in the archive


def objects_in_archive(path: Path) -> list[FoundModel]:
    """The objects of a zip file that has ShapeNetCore's layout inside; empty where it has not.

    Members may start at the synset (``02691156/<id>/models/...``), at the object (``<id>/models/...``; the
    synset is the archive's name), or further up. An object without a mesh is listed with the place where
    ShapeNetCore v2 would have it.

    Raises:
        UsageError: It is no zip file that can be read.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UsageError(f"{path} is no zip file that can be read ({error}); download it again") from None
    meshes: dict[str, str] = {}
    for name in names:
        for place in reversed(MODEL_FILES):
            if name.endswith(f"/{place}"):
                folder = name.removesuffix(f"/{place}")
                if place == MODEL_FILES[0] or folder not in meshes:
                    meshes[folder] = name
    synsets = {folder.rpartition("/")[0] for folder in meshes}
    folders = {folder for folder in map(_object_folder, names) if folder.rpartition("/")[0] in synsets}
    return [
        FoundModel(
            synset=PurePosixPath(folder).parent.name or path.stem,
            object_id=PurePosixPath(folder).name,
            path=path,
            member=meshes.get(folder, f"{folder}/{MODEL_FILES[0]}"),
        )
        for folder in sorted(folders | set(meshes))
        if folder and not PurePosixPath(folder).name.startswith(".")
    ]


@contextlib.contextmanager
def unpacked_model(archive: Path, member: str, folder: Path | None) -> Iterator[Path]:
    """Unpacks one object into a temporary folder, which goes on leaving.

    Args:
        archive: Zip file.
        member: Name of the object's mesh in the archive.
        folder: Folder in which the temporary folder is made; by default that of the system.

    Yields:
        The mesh's path.

    Raises:
        ModelError: The archive lacks it, is damaged there, or holds for this object more files or bytes than
            allowed, a link, or a name that leads out of its folder.
    """
    prefix = _folder_of_mesh(member)
    with tempfile.TemporaryDirectory(prefix="iebench-model-", dir=folder) as temporary:
        target = Path(temporary).resolve()
        try:
            opened = _opened(archive, archive.stat().st_mtime_ns)
            infos = [item for item in opened.objects.get(prefix, []) if not item.is_dir()]
            if member not in {item.filename for item in infos}:
                raise ModelError(f"there is no {member} in {archive}")
            _unpack(opened.file, prefix, infos, target)
        except (
            zipfile.BadZipFile,
            zlib.error,
            EOFError,
            RuntimeError,
            NotImplementedError,
            ValueError,
        ) as error:
            raise ModelError(
                f"{archive.name} is damaged or of a kind that cannot be read ({error})"
            ) from None
        except OSError as error:
            if error.errno in NO_ROOM:
                raise
            raise_by_fault(error, archive)
        yield target / member.removeprefix(f"{prefix}/")


@functools.lru_cache(maxsize=_ARCHIVES_AT_HAND)
def _opened(path: Path, changed: int) -> _Archive:
    """The archive with its members by object: the directory of a large one takes a second to read."""
    file = zipfile.ZipFile(path)
    objects: dict[str, list[zipfile.ZipInfo]] = defaultdict(list)
    meshes = {_folder_of_mesh(name) for name in file.namelist() if name.endswith(MODEL_FILES)}
    for item in file.infolist():
        folder = item.filename
        while folder := folder.rpartition("/")[0]:
            if folder in meshes:
                objects[folder].append(item)
                break
    return _Archive(file, dict(objects))


def _unpack(file: zipfile.ZipFile, prefix: str, infos: list[zipfile.ZipInfo], target: Path) -> None:
    wanted = [item for item in infos if not item.filename.lower().endswith(_NOT_RENDERED)]
    if len(wanted) > LARGEST_MEMBERS:
        raise ModelError(f"it has {len(wanted):,} files; at most {LARGEST_MEMBERS:,} are unpacked")
    left = LARGEST_BYTES
    for item in wanted:
        place = target / _safe_name(item, prefix)
        place.parent.mkdir(parents=True, exist_ok=True)
        with file.open(item) as source, place.open("wb") as sink:
            left -= _copy(source, sink, left)


def _copy(source: IO[bytes], sink: IO[bytes], limit: int) -> int:
    """Copies and counts; what the archive's directory says of sizes is not relied on."""
    copied = 0
    while chunk := source.read(_CHUNK):
        copied += len(chunk)
        if copied > limit:
            raise ModelError(f"it is more than {LARGEST_BYTES / 2**20:,.0f} MiB when unpacked")
        sink.write(chunk)
    return copied


def _safe_name(item: zipfile.ZipInfo, prefix: str) -> str:
    """A member's name from the object's folder on."""
    name = item.filename.removeprefix(f"{prefix}/")
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise ModelError(f"a name in its archive leads out of its folder: {item.filename!r}")
    if stat.S_ISLNK(item.external_attr >> 16):
        raise ModelError(f"its archive holds a link: {item.filename!r}")
    return name


def _folder_of_mesh(member: str) -> str:
    place = next((place for place in MODEL_FILES if member.endswith(f"/{place}")), MODEL_FILES[1])
    return member.removesuffix(f"/{place}")


def _object_folder(name: str) -> str:
    """The object's folder of a file in the layout of ShapeNetCore v2; of v1 the folder it lies in."""
    folder = name.rpartition("/")[0]
    return folder.removesuffix("/models").removesuffix("/images")
