"""Lists of objects that a person or a publication made: which are used, and which split they are in."""

from pathlib import Path

import numpy as np

from shards.errors import UsageError

Name = tuple[str, str]
"""Synset and object."""


def split_name(text: str) -> Name:
    """Synset and object of ``synset/object``; slashes at the ends, as in the published lists, do not count.

    Raises:
        UsageError: it names no object.
    """
    synset, slash, name = text.strip().strip("/").partition("/")
    if not (synset and slash and name):
        raise UsageError(f"{text!r} names no object; write synset/object")
    return synset, name


def read_names(path: Path) -> list[Name]:
    """Reads names of objects: ``synset/object``, where slashes at the ends do not count.

    Args:
        path: a ``.npy`` array of text, as the published lists are, or a text file with a name per line, in
            which empty lines and lines that begin with # do not count.

    Raises:
        UsageError: it cannot be read, or holds none, or something else.
    """
    try:
        lines = _npy_lines(path) if path.suffix.lower() == ".npy" else path.read_text("utf-8").splitlines()
    except (OSError, ValueError, EOFError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    texts = [line.strip() for line in lines]
    names = [split_name(text) for text in texts if text and not text.startswith("#")]
    if not names:
        raise UsageError(f"{path} names no object")
    return list(dict.fromkeys(names))


def read_splits(train: Path, val: Path) -> dict[Name, str]:
    """The split of every object that one of two lists names.

    Raises:
        UsageError: a list cannot be read, or both name the same object.
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
    return [item.decode() if isinstance(item, bytes) else item for item in array.reshape(-1).tolist()]
