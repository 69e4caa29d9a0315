"""A whole set of models on disk."""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from render.procedural.obj import write_object
from render.procedural.shape_classes import CLASSES, ShapeClass, build_object, find_class
from shards.errors import UsageError
from shards.files import write_text
from shards.parallel import run_parallel

GENERATOR_VERSION = 3
"""Raised whenever any object's bytes change, so that two generators never mix in one folder."""

RECORD_NAME = "models.json"

_Job = tuple[str, int]  # name of the class and index of an object


def make_models(
    out: Path,
    classes: Sequence[str] | None = None,
    objects_per_class: int = 12,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> list[Path]:
    """Makes models in ShapeNet's layout: `out/<synset>/<object_id>/models/model_normalized.obj`.

    Objects that are there already are kept, what is missing or incomplete is made, so an interrupted run is
    completed by the same call. More classes or more objects of the same seed may be added later.

    Args:
        out: Folder of the set; made where missing.
        classes: Names or synsets; None for all of `CLASSES`.
        objects_per_class: At least 1.
        seed: Another seed gives other objects.
        progress: Called with (objects done, objects in all) after each object.
        workers: Processes that make models; the files are the same for any number.

    Returns:
        The folders of the objects, in order of synset and index.

    Raises:
        UsageError: A class is unknown, there is nothing to make, or `out` holds another set.
    """
    if objects_per_class < 1:
        raise UsageError(f"objects per class must be at least 1, not {objects_per_class}.")
    shapes = _chosen(classes)
    _record(out, shapes, objects_per_class, seed)
    jobs = [(shape.name, index) for shape in shapes for index in range(objects_per_class)]
    folders: dict[_Job, Path] = {}
    with closing(run_parallel(partial(_make, out, seed), jobs, workers)) as made:
        for job, folder in made:
            folders[job] = folder
            if progress is not None:
                progress(len(folders), len(jobs))
    return [folders[job] for job in jobs]


def _make(out: Path, seed: int, job: _Job) -> tuple[_Job, Path]:
    model = build_object(*job, seed)
    folder = out / model.synset / model.object_id
    write_object(model, folder)
    return job, folder


def _chosen(classes: Sequence[str] | None) -> list[ShapeClass]:
    if classes is None:
        return list(CLASSES.values())
    chosen = {find_class(name).name for name in classes}
    if not chosen:
        raise UsageError(f"no classes were asked for: available are {', '.join(CLASSES)}.")
    return [shape for shape in CLASSES.values() if shape.name in chosen]


def _record(out: Path, shapes: Sequence[ShapeClass], objects_per_class: int, seed: int) -> None:
    """Checks that `out` holds this set or none, and notes what it will hold."""
    path = out / RECORD_NAME
    counts: dict[str, int] = {}
    if path.exists():
        known = _read_record(path)
        if (known["generator_version"], known["seed"]) != (GENERATOR_VERSION, seed):
            raise UsageError(
                f"{out} holds models of seed {known['seed']} by generator version {known['generator_version']}, "
                f"not of seed {seed} by version {GENERATOR_VERSION}: choose another folder."
            )
        counts = {entry["synset"]: entry["objects"] for entry in known["classes"]}
    elif any((out / shape.synset).exists() for shape in shapes):
        raise UsageError(
            f"{out} holds models that were not made here ({RECORD_NAME} is missing): choose another folder."
        )
    for shape in shapes:
        counts[shape.synset] = max(objects_per_class, counts.get(shape.synset, 0))
    record = {
        "generator": "render.procedural",
        "generator_version": GENERATOR_VERSION,
        "seed": seed,
        "objects_per_class": max(counts.values()),
        "classes": [
            {"synset": shape.synset, "name": shape.name, "objects": counts[shape.synset]}
            for shape in CLASSES.values()
            if shape.synset in counts
        ],
    }
    out.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=2) + "\n")


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        record["generator_version"], record["seed"], record["classes"][0]["objects"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise UsageError(f"{path} cannot be read as a record of models: choose another folder.") from error
    return dict(record)
