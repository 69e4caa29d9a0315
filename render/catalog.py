"""Lists the objects in a folder of models, in a fixed order."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from render.sources.archives import objects_in_archive
from render.sources.classes import FORMATS, objects_in_class
from render.sources.found import ObjectRef
from render.sources.shapenet import MODEL_FILES, has_mesh, objects_in_synset
from shards.errors import UsageError
from shards.lists import Name
from shards.schema import split_of


def scan_models(folder: Path, limit: int | None = None) -> list[ObjectRef]:
    """Lists the objects of a folder, sorted by synset and object.

    Each class may be a folder as in ShapeNetCore v1 or v2, a zip file of that, or a class folder (see
    ``render.sources.classes``). What lies in a folder goes before what lies in an archive. In ShapeNet's layout an
    object folder without a mesh is listed too, with the path where the mesh should be, so that rendering
    names it among the failures.

    Args:
        folder: Folder of the classes.
        limit: Largest number of objects, taken evenly over the catalog so that every class keeps its share.

    Raises:
        UsageError: The folder does not exist or holds no model, or an archive cannot be read.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; make one with `iebench models make {folder}`")
    found = _scan(folder)
    for item in found:
        path = f"{item.path}/{item.member}"
        try:
            path.encode()  # names go into keys and JSON, which hold text; a file's name may be any bytes
        except UnicodeEncodeError:
            raise UsageError(f"the name of {os.fsencode(path)!r} is no text; rename it") from None
    objects = [replace(item, split=item.split or split_of(*item.name), source=folder) for item in found]
    return limited(objects, limit)


def limited(objects: Sequence[ObjectRef], limit: int | None) -> list[ObjectRef]:
    """Takes at most ``limit`` objects, evenly over the catalog; labels are those of the remaining synsets."""
    if limit is not None and limit < len(objects):
        objects = [objects[position * len(objects) // limit] for position in range(limit)]
    return _labeled(objects)


def select_objects(objects: Iterable[ObjectRef], names: Iterable[Name]) -> list[ObjectRef]:
    """The objects of a catalog with these names, relabeled by their own synsets.

    Raises:
        UsageError: The catalog lacks one.
    """
    wanted = set(names)
    chosen = [item for item in objects if item.name in wanted]
    missing = wanted - {item.name for item in chosen}
    if missing:
        raise UsageError(
            f"the models lack {len(missing):,} of the objects asked for, such as {'/'.join(min(missing))}"
        )
    return _labeled(chosen)


def with_splits(objects: Iterable[ObjectRef], splits: Mapping[Name, str], folder: Path) -> list[ObjectRef]:
    """Returns the objects that are in one of the splits, with that split and with labels among the remaining synsets.

    An object that a split names and the catalog lacks is listed with the path in the models' folder where it should
    be, so that rendering names it among the failures.
    """
    there = {item.name: item for item in objects}
    examples = {item.synset: item for item in there.values()}
    chosen = []
    for (synset, name), split in sorted(splits.items()):
        item = there.get((synset, name)) or _expected(synset, name, folder, examples.get(synset))
        chosen.append(replace(item, split=split))
    return _labeled(chosen)


def with_classes(objects: Iterable[ObjectRef], classes: Mapping[str, str]) -> list[ObjectRef]:
    """Returns the objects that have a class, named by this class and their uid; for folders that are not classes.

    Args:
        objects: The catalog. An object's uid is the end of its name, as that of ``glbs/000-023/UID.glb``.
        classes: The class of each uid.

    Raises:
        UsageError: None of the objects has a class.
    """
    chosen = {}
    for item in objects:
        uid = item.object_id.rpartition("/")[2]
        if uid in classes and uid not in chosen:
            split = split_of(classes[uid], uid)
            chosen[uid] = replace(item, synset=classes[uid], object_id=uid, split=split)
    if not chosen:
        raise UsageError("none of the models has a class in the file given; its uids are names of files")
    return _labeled(sorted(chosen.values(), key=lambda item: item.name))


def _scan(folder: Path) -> list[ObjectRef]:
    """The objects of every class, of which at least one has a model."""
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not entry.name.startswith(".") and entry.name != "__MACOSX"]
        folders = [Path(entry.path) for entry in visible if entry.is_dir()]
        archives = [Path(entry.path) for entry in visible if entry.name.lower().endswith(".zip")]
    objects = {item.name: item for path in sorted(archives) for item in objects_in_archive(path)}
    there = bool(objects)
    for path in folders:
        in_class = objects_in_synset(path)
        if not any(map(has_mesh, in_class)):
            in_class = objects_in_class(path) or in_class
        for item in in_class:
            if has_mesh(item):
                there = True
                objects[item.name] = item
            else:
                objects.setdefault(item.name, item)
    if not there:
        raise UsageError(
            f"{folder} holds no model: expected synset/object/{MODEL_FILES[0]} or synset/object/{MODEL_FILES[1]} "
            f"as in ShapeNetCore, synset.zip with these inside, or folders of classes with "
            f"{', '.join(FORMATS)} files; `iebench models make {folder}` makes procedural ones"
        )
    return [objects[name] for name in sorted(objects)]


def _labeled(objects: Iterable[ObjectRef]) -> list[ObjectRef]:
    chosen = list(objects)
    labels = {synset: label for label, synset in enumerate(sorted({item.synset for item in chosen}))}
    return [replace(item, label=labels[item.synset]) for item in chosen]


def _expected(synset: str, name: str, folder: Path, example: ObjectRef | None) -> ObjectRef:
    """An object that is not there: where it would be, as others of its class are."""
    expected = ObjectRef(synset, name, folder / synset / name / MODEL_FILES[0], 0, "train", source=folder)
    if example is not None and example.member:
        member = example.member.replace(f"{example.object_id}/", f"{name}/", 1)
        return replace(expected, path=example.path, member=member)
    if example is not None and example.rescaled:
        path = folder / synset / f"{name}{example.path.suffix}"
        return replace(expected, path=path, rescaled=True)
    return expected
