"""The layout of ShapeNetCore: a folder per synset, a folder per object."""

import os
from pathlib import Path

from render.sources.found import ObjectRef

MODEL_FILES = ("models/model_normalized.obj", "model.obj")
"""Where ShapeNetCore v2 and v1 keep an object's mesh, from the object's folder."""


def objects_in_synset(folder: Path) -> list[ObjectRef]:
    """The objects of one synset's folder, whether their meshes are there or not.

    An object without a mesh is listed with the path that ShapeNetCore v2 would have it.
    """
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return [ObjectRef(folder.name, name, Path(_mesh_of(os.path.join(folder, name)))) for name in names]  # noqa: PTH118


def has_mesh(item: ObjectRef) -> bool:
    """Whether the model of an object in a folder is there."""
    return os.path.isfile(item.path)  # noqa: PTH113  (tens of thousands are asked for)


def _mesh_of(folder: str) -> str:
    candidates = [f"{folder}/{name}" for name in MODEL_FILES]
    return next((candidate for candidate in candidates if os.path.isfile(candidate)), candidates[0])  # noqa: PTH113
