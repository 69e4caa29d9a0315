"""Reads lists of objects, such as the published lists that say which objects are in which split."""

import csv
from pathlib import Path

import numpy as np

from shards.errors import UsageError

Name = tuple[str, str]
"""Synset and name of an object."""


def split_name(text: str) -> Name:
    """Splits ``synset/object`` into its two parts; slashes at the ends, as in the published lists, are ignored.

    Raises:
        UsageError: The text does not name an object.
    """
    synset, slash, name = text.strip().strip("/").partition("/")
    if not (synset and slash and name):
        raise UsageError(f"{text!r} names no object; write synset/object")
    return synset, name


def read_names(path: Path) -> list[Name]:
    """Reads a list of objects, each once, in the order of the file.

    Names are written as for ``split_name``. The file may be

    - a ``.npy`` array of text: names, as in the published lists of each split, or rows of synset and object, as in the
      published ``all_objects.npy``;
    - a ``.csv`` file with columns ``synsetId`` and ``modelId``, such as ShapeNet's ``all.csv``;
    - a text file with one name on each line, where empty lines and lines that begin with # are ignored.

    Raises:
        UsageError: The file cannot be read, is of another kind, or names no object.
    """
    read = {".npy": _npy_lines, ".csv": _csv_lines}.get(path.suffix.lower(), _text_lines)
    try:
        lines = read(path)
    except (OSError, ValueError, EOFError, csv.Error) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    texts = [line.strip() for line in lines]
    names = [split_name(text) for text in texts if text and not text.startswith("#")]
    if not names:
        raise UsageError(f"{path} names no object")
    return list(dict.fromkeys(names))


def read_splits(train: Path, val: Path) -> dict[Name, str]:
    """Reads the lists of both splits and returns the split of every object in them.

    Raises:
        UsageError: A list cannot be read, or both lists name the same object.
    """
    splits = dict.fromkeys(read_names(train), "train")
    for name in read_names(val):
        if splits.setdefault(name, "val") != "val":
            raise UsageError(f"{'/'.join(name)} is in both {train} and {val}; an object is in one split only")
    return splits


def _npy_lines(path: Path) -> list[str]:
    array = np.load(path, allow_pickle=False)
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "US":
        raise UsageError(f"{path} holds no text; expected an array of strings such as /02691156/1a04e3ea/")
    rows = array if array.ndim == 2 and array.shape[1] == 2 else array.reshape(-1, 1)
    return [
        "/".join(item.decode() if isinstance(item, bytes) else item for item in row) for row in rows.tolist()
    ]


def _csv_lines(path: Path) -> list[str]:
    """Reads names from the columns of ShapeNet's ``all.csv``; a file without these columns is read as a text file."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        if not {"synsetId", "modelId"} <= set(rows.fieldnames or []):
            return _text_lines(path)
        return [f"{(row['synsetId'] or '').zfill(8)}/{row['modelId'] or ''}" for row in rows]


def _text_lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()
