"""Class folders: any folder of folders with model files, such as ModelNet or what Objaverse downloads.

The class is the first folder. An object is called by its file without the suffix; folders between the class
and the file are part of the name, except

- ``train``, ``test`` or ``val`` right under the class (as in ModelNet), which is the split; test counts as val;
- where a folder holds one model and nothing else that is one (``class/uid/uid.glb``, ``class/chair7/mesh.obj``),
  the folder's name stands for both.

Where two files would get one name, both keep their full path. A model that is there in several formats is
taken in the first of ``FORMATS``.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from render.sources.found import ObjectRef

FORMATS = (".glb", ".gltf", ".obj", ".ply", ".off", ".stl")
"""Suffixes of model files; the earlier tell more of a model's looks."""

SPLITS = {"train": "train", "test": "val", "val": "val"}


class _File(NamedTuple):
    folders: tuple[str, ...]
    stem: str
    path: Path


def objects_in_class(folder: Path) -> list[ObjectRef]:
    """The objects of one class's folder; empty where it holds no model file."""
    files = list(_walk(folder, ()))
    in_folder = Counter(item.folders for item in files)
    below = {item.folders[:depth] for item in files for depth in range(len(item.folders))}
    short = [_short_name(item, in_folder[item.folders] == 1 and item.folders not in below) for item in files]
    taken = Counter(short)
    return [
        ObjectRef(
            synset=folder.name,
            object_id=name if taken[name] == 1 else "/".join((*item.folders, item.stem)),
            path=item.path,
            split=SPLITS.get(item.folders[0], "") if item.folders else "",
            rescaled=True,
        )
        for item, name in zip(files, short, strict=True)
    ]


def _short_name(item: _File, alone: bool) -> str:
    folders = item.folders[1:] if item.folders and item.folders[0] in SPLITS else item.folders
    return "/".join(folders if folders and alone else (*folders, item.stem))


def _walk(folder: Path, parts: tuple[str, ...]) -> Iterator[_File]:
    """The models in a folder, whose path below the class is given, and in the folders below it."""
    candidates: dict[str, dict[str, str]] = defaultdict(dict)
    deeper = []
    with os.scandir(folder) as entries:
        for entry in entries:
            stem, suffix = os.path.splitext(entry.name)  # noqa: PTH122
            if entry.name.startswith((".", "__MACOSX")):
                continue
            if entry.is_dir():
                deeper.append(entry)
            elif suffix.lower() in FORMATS:
                candidates[stem][suffix.lower()] = entry.path
    for stem, paths in candidates.items():
        yield _File(parts, stem, Path(paths[min(paths, key=FORMATS.index)]))
    for entry in deeper:
        below = Path(entry.path)
        leads_back = entry.is_symlink() and folder.resolve().is_relative_to(below.resolve())
        if not leads_back:
            yield from _walk(below, (*parts, entry.name))
