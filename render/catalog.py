"""Which objects a folder of models holds, in a fixed order."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from render.shapenet import SHAPENET_CLASSES
from shards.errors import UsageError
from shards.schema import ClassInfo, object_key, split_of

MODEL_FILES = ("models/model_normalized.obj", "model.obj")
"""Where ShapeNetCore v2 and v1 keep an object's mesh."""


@dataclass(frozen=True)
class ObjectRef:
    """One object of the catalogue."""

    synset: str
    object_id: str
    path: Path
    label: int
    split: str

    @property
    def key(self) -> str:
        """The object's part of its samples' keys."""
        return object_key(self.synset, self.object_id)


def scan_models(folder: Path, limit: int | None = None) -> list[ObjectRef]:
    """Lists the objects of a ShapeNetCore v1 or v2 folder, sorted by synset and object.

    An object folder without a mesh is listed too, with the path where the mesh should be, so that rendering
    names it among the failures.

    Args:
        folder: holds ``synset/object/models/model_normalized.obj`` (v2) or ``synset/object/model.obj`` (v1).
        limit: at most so many objects, taken evenly over the catalogue so that every class keeps its share.

    Raises:
        UsageError: the folder does not exist or holds no model.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; make one with `iebench models make {folder}`")
    found = [
        (synset.name, item.name, _model_path(item))
        for synset in _subfolders(folder)
        for item in _subfolders(synset)
    ]
    if not any(path.is_file() for *_, path in found):
        raise UsageError(
            f"{folder} holds no model: expected synset/object/{MODEL_FILES[0]} as in ShapeNetCore; "
            f"`iebench models make {folder}` makes procedural ones"
        )
    _require_text(path for *_, path in found)
    if limit is not None and limit < len(found):
        found = [found[position * len(found) // limit] for position in range(limit)]
    labels = {synset: label for label, synset in enumerate(sorted({synset for synset, *_ in found}))}
    return [
        ObjectRef(synset, name, path, labels[synset], split_of(synset, name)) for synset, name, path in found
    ]


def select_objects(objects: Iterable[ObjectRef], names: Iterable[tuple[str, str]]) -> list[ObjectRef]:
    """The objects of a catalogue with these (synset, object) names, labelled anew by their own synsets.

    Raises:
        UsageError: the catalogue lacks one.
    """
    wanted = set(names)
    chosen = [item for item in objects if (item.synset, item.object_id) in wanted]
    missing = wanted - {(item.synset, item.object_id) for item in chosen}
    if missing:
        raise UsageError(
            f"the models lack {len(missing):,} of the objects asked for, such as {'/'.join(min(missing))}"
        )
    synsets = sorted({item.synset for item in chosen})
    return [replace(item, label=synsets.index(item.synset)) for item in chosen]


def class_name(synset: str) -> str:
    """The class's name where the synset is one of ShapeNetCore's, else the synset itself."""
    return SHAPENET_CLASSES.get(synset, synset)


def classes_of(objects: Iterable[ObjectRef]) -> tuple[ClassInfo, ...]:
    """The classes of a catalogue by label."""
    labels = sorted({(item.label, item.synset) for item in objects})
    return tuple(ClassInfo(label=label, synset=synset, name=class_name(synset)) for label, synset in labels)


def fingerprint(objects: Iterable[ObjectRef]) -> str:
    """SHA-256 over the catalogue's objects, labels and splits."""
    lines = [f"{item.synset}/{item.object_id} {item.label} {item.split}\n" for item in objects]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _subfolders(folder: Path) -> list[Path]:
    return sorted(
        (item for item in folder.iterdir() if item.is_dir() and not item.name.startswith(".")),
        key=lambda item: item.name,
    )


def _require_text(paths: Iterable[Path]) -> None:
    """Names go into keys and JSON, which hold text: a file name may be any bytes."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UsageError(f"the name of {os.fsencode(path)!r} is no text; rename it") from None


def _model_path(folder: Path) -> Path:
    candidates = [folder / name for name in MODEL_FILES]
    return next((path for path in candidates if path.is_file()), candidates[0])
