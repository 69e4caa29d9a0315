"""The catalog of a dataset that several processes render: one scans the models, the others read what it found."""

import gzip
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from render.catalog import ObjectRef
from render.sources.found import Listing
from render.staging import FOLDER_NAME
from shards.files import atomic_write
from shards.locks import one_at_a_time
from shards.same_settings import require_usable_folder

CATALOG_NAME = "catalog.json.gz"


def shared_catalog(
    out: Path, models: Path, request: Mapping[str, object], scan: Callable[[], list[ObjectRef]]
) -> list[ObjectRef]:
    """Gives the objects of a dataset as another process found them; the first process scans, while others wait.

    Args:
        out: Folder of the dataset.
        models: Folder of the models; all paths are below it.
        request: Values on which the scan depends, as JSON; a catalog of another request is not used.
        scan: Function that finds the objects.

    Raises:
        UsageError: ``out`` holds something else; and whatever ``scan`` raises.
    """
    folder = out / FOLDER_NAME
    require_usable_folder(out, folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / CATALOG_NAME
    if (there := _read(path, models, request)) is not None:
        return there
    with one_at_a_time(folder, "catalog-turn"):
        if (there := _read(path, models, request)) is not None:
            return there
        objects = scan()
        _write(path, models, request, objects)
        return objects


def _read(path: Path, models: Path, request: Mapping[str, object]) -> list[ObjectRef] | None:
    if not path.is_file():
        return None
    content = json.loads(gzip.decompress(path.read_bytes()))
    archives = content.get("archives")  # which earlier versions did not write
    if content["request"] != request or archives is None or archives != _state(models, archives):
        return None
    return [
        ObjectRef(synset, name, models / model, label, split, member, rescaled, models, _as_listing(listing))
        for synset, name, model, label, split, member, rescaled, listing in content["objects"]
    ]


def _write(path: Path, models: Path, request: Mapping[str, object], objects: Sequence[ObjectRef]) -> None:
    rows = [
        (
            item.synset,
            item.object_id,
            str(item.path.relative_to(models)),
            item.label,
            item.split,
            item.member,
            item.rescaled,
            item.listing,
        )
        for item in objects
    ]
    archives = _state(models, {row[2] for row, item in zip(rows, objects, strict=True) if item.member})
    content = {"request": request, "archives": archives, "objects": rows}
    with atomic_write(path) as stream:
        stream.write(gzip.compress(json.dumps(content).encode()))


def _as_listing(fields: list | None) -> Listing | None:
    return None if fields is None else Listing(fields[0], fields[1], tuple(map(tuple, fields[2])))


def _state(models: Path, archives: Iterable[str]) -> dict[str, list[int]]:
    """Size and time of the last change of archives, of those that are there: another archive lists other byte ranges."""
    paths = {name: models / name for name in archives}
    states = {name: path.stat() for name, path in paths.items() if path.is_file()}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}
