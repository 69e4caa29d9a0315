"""Reads CIFAR-10 and CIFAR-100 in their binary version, from a folder or from the .tar.gz.

https://www.cs.toronto.edu/~kriz/cifar.html describes the format: records of a label and 32 x 32 pixels. The version for
Python is refused, because it consists of pickles, which can run code when they are read.
"""

import tarfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path, PurePosixPath

import numpy as np

from shards.errors import IebenchError, UsageError
from shards.pictures.picture import Picture
from shards.pictures.source import FoundPicture, PictureSource

SIDE = 32
_PIXELS = 3 * SIDE * SIDE
_TEN = {**{f"data_batch_{number}.bin": "train" for number in range(1, 6)}, "test_batch.bin": "val"}
_HUNDRED = {"train.bin": "train", "test.bin": "val"}
_NAMES = {1: "batches.meta.txt", 2: "fine_label_names.txt"}
"""File of the class names, by the number of label bytes in a record."""
_ARCHIVES = (".tar.gz", ".tgz", ".tar")


def is_cifar(path: Path) -> bool:
    """Returns whether a folder or an archive holds CIFAR in its binary version.

    Raises:
        UsageError: It holds the pickles of the version for Python.
    """
    if path.is_dir():
        names = {item.name for item in path.iterdir() if item.is_file()}
    elif path.name.lower().endswith(_ARCHIVES) and path.is_file():
        with _archive(path) as archive:
            names = {PurePosixPath(name).name for name in archive.getnames()}
    else:
        return False
    if {"data_batch_1", "batches.meta"} <= names or {"train", "test", "meta"} <= names:
        raise UsageError(
            f"{path} holds CIFAR's version for Python, whose pickles could run code when they are read; download "
            "the binary version (cifar-10-binary.tar.gz, cifar-100-binary.tar.gz) and pack that"
        )
    return bool(names & {*_TEN, *_HUNDRED})


class Cifar(PictureSource):
    """CIFAR's binary version in a folder or an archive. It states no licence."""

    @property
    def words(self) -> str:
        return f"CIFAR-{10 if self._label_bytes == 1 else 100}"

    def pictures(self) -> list[FoundPicture]:
        """Lists all pictures, named by their file and number.

        Raises:
            UsageError: A file is cut short.
        """
        files = _contents(self.path)
        record, names = _PIXELS + self._label_bytes, list(self.class_names().values())
        names += [f"{label:03d}" for label in range(len(names), 256)]  # of classes whose names are missing
        found = []
        for name, split in (_TEN if self._label_bytes == 1 else _HUNDRED).items():
            data = files.get(name)
            if data is None:
                continue
            if not data or len(data) % record:
                raise UsageError(f"{name} of {self.path} is cut short; download it again")
            labels = np.frombuffer(data, np.uint8).reshape(-1, record)[:, self._label_bytes - 1]
            stem = name.removesuffix(".bin")
            found += [
                FoundPicture(names[label], f"{stem}-{number:05d}", split, (name, number))
                for number, label in enumerate(labels)
            ]
        return found

    def class_names(self) -> Mapping[str, str]:
        """Returns the class names from the file beside the records, in the order of the labels."""
        text = _contents(self.path).get(_NAMES[self._label_bytes], b"").decode("utf-8", "replace")
        return {name: name for name in text.split()}

    def read(self, item: Picture) -> np.ndarray:
        """Returns the pixels of a picture, (32, 32, 3) uint8 RGB."""
        name, number = str(item.location[0]), int(item.location[1])
        record = _PIXELS + self._label_bytes
        stop = (number + 1) * record
        pixels = np.frombuffer(_contents(self.path)[name][stop - _PIXELS : stop], np.uint8)
        return np.ascontiguousarray(pixels.reshape(3, SIDE, SIDE).transpose(1, 2, 0))

    @property
    def _label_bytes(self) -> int:
        """Number of label bytes in a record: CIFAR-10 has 1; CIFAR-100 has 2, a coarse label before the fine one."""
        return 1 if set(_contents(self.path)) & set(_TEN) else 2


@contextmanager
def _archive(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path) as archive:
            yield archive
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise IebenchError(f"{path} is no archive that can be read ({error}); download it again") from None


@lru_cache(maxsize=1)
def _contents(path: Path) -> dict[str, bytes]:
    """Reads CIFAR's files, 184 MB in all, and returns their bytes by name. Each process reads them only once."""
    wanted = {*_TEN, *_HUNDRED, *_NAMES.values()}
    if path.is_dir():
        return {name: (path / name).read_bytes() for name in sorted(wanted) if (path / name).is_file()}
    found = {}
    with _archive(path) as archive:
        for member in archive:
            name = PurePosixPath(member.name).name
            stream = archive.extractfile(member) if name in wanted and member.isfile() else None
            if stream is not None:
                found[name] = stream.read()
    return found
