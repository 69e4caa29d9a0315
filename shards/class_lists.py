"""Reads lists that come with collections of models: Objaverse's classes, and the official split of ShapeNet."""

import csv
import gzip
import json
from collections.abc import Iterator
from pathlib import Path

from shards.errors import UsageError
from shards.lists import Name

_SPLITS = {"train": "train", "val": "val", "test": "val"}


def read_classes(path: Path) -> dict[str, str]:
    """Reads the class of each model of a collection by its uid; the first one if a model is in several classes.

    The file is a .json (or .json.gz) with ``{class: [uid, ...]}``, such as Objaverse's LVIS classes, or with
    ``{uid: class}``; or a .csv with a line ``uid,class`` for each model, with or without a header.

    Raises:
        UsageError: The file cannot be read, is of another kind, or names no class.
    """
    try:
        pairs = _csv_pairs(path) if path.suffix.lower() == ".csv" else _json_pairs(path)
        classes: dict[str, str] = {}
        for uid, name in pairs:
            classes.setdefault(uid, name)
    except (OSError, ValueError, EOFError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read as classes of models: {error}") from None
    if not classes:
        raise UsageError(f"{path} names no class of any model")
    return classes


def read_official_split(path: Path) -> dict[Name, str]:
    """Reads ShapeNet's official split from its ``all.csv``. Its test objects become part of ``val``.

    Raises:
        UsageError: The file cannot be read, or lacks the columns synsetId, modelId and split.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        splits = {(row["synsetId"].zfill(8), row["modelId"]): _SPLITS[row["split"]] for row in rows}
    except (OSError, ValueError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except (KeyError, AttributeError):
        raise UsageError(
            f"{path} is no list as ShapeNet's all.csv: it needs the columns synsetId, modelId and split "
            "(train, val or test)"
        ) from None
    if not splits:
        raise UsageError(f"{path} names no object")
    return splits


def _csv_pairs(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.reader(stream):
            if not row or [cell.strip().lower() for cell in row] == ["uid", "class"]:
                continue
            if len(row) != 2 or not all(cell.strip() for cell in row):
                raise ValueError(f"expected uid,class and not {','.join(row)!r}")
            yield row[0].strip(), row[1].strip()


def _json_pairs(path: Path) -> Iterator[tuple[str, str]]:
    text = gzip.decompress(path.read_bytes()) if path.suffix.lower() == ".gz" else path.read_bytes()
    content = json.loads(text)
    if not isinstance(content, dict):
        raise ValueError("expected an object of classes and lists of uids")
    for key, value in content.items():
        if isinstance(value, str):
            yield key, value
        elif isinstance(value, list) and all(isinstance(uid, str) for uid in value):
            yield from ((uid, key) for uid in value)
        else:
            raise ValueError(f"expected a list of uids for {key!r}")
