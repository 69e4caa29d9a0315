"""Reads and writes ``failures.jsonl``, the list of objects that are missing from a dataset, with the reasons."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from shards.errors import UsageError
from shards.files import write_text
from shards.schema import Record
from shards.shard_plan import NamedObject

FAILURES_NAME = "failures.jsonl"


class Failure(Record):
    """One line of ``failures.jsonl``: an object that could not be rendered or packed, and the message that says why."""

    synset: str
    object: str
    reason: str
    attempts: int


class Failures:
    """The failures of a dataset. Each is appended to the file at once; ``write`` sorts the file.

    If the user deletes the file, its objects are tried again.

    Args:
        path: Path of the file; read if it exists.
        beside: Files of other processes, whose failures are known here but are not written to ``path``.
    """

    def __init__(self, path: Path, beside: tuple[Path, ...] = ()) -> None:
        self._path = path
        self._beside = _by_object(beside)
        self._own = _by_object((path,))
        if path.is_file() and not path.read_bytes().endswith(b"\n"):  # the process that wrote it was killed
            self.write()

    def __contains__(self, item: NamedObject) -> bool:
        name = (item.synset, item.object_id)
        return name in self._own or name in self._beside

    def __iter__(self) -> Iterator[Failure]:
        return iter(sorted(self._own.values(), key=lambda failure: (failure.synset, failure.object)))

    def __len__(self) -> int:
        return len(self._own)

    def add(self, item: NamedObject, reason: str, attempts: int) -> None:
        failure = Failure(synset=item.synset, object=item.object_id, reason=reason, attempts=attempts)
        self._own[item.synset, item.object_id] = failure
        with self._path.open("ab") as stream:
            stream.write(failure.model_dump_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def replace(self, items: Iterable[NamedObject], failures: Iterable[Failure]) -> None:
        """Replaces the failures of the objects that were tried, ``items``, by those of their last attempt."""
        tried = {(item.synset, item.object_id) for item in items}
        own = {name: failure for name, failure in self._own.items() if name not in tried}
        own.update({(failure.synset, failure.object): failure for failure in failures})
        if own != self._own:
            self._own = own
            self.write()

    def absorb(self, paths: tuple[Path, ...]) -> None:
        """Adds the failures in other files, and deletes these files when everything is written."""
        if paths:
            self._own = _by_object((self._path, *paths))
            self.write()
        for path in paths:
            path.unlink()

    def write(self) -> None:
        """Writes the file again, sorted by object; it is empty if nothing failed."""
        write_text(self._path, "".join(failure.model_dump_json() + "\n" for failure in self))


def _by_object(paths: tuple[Path, ...]) -> dict[tuple[str, str], Failure]:
    failures = (failure for path in paths if path.is_file() for failure in _read_failures(path))
    return {(failure.synset, failure.object): failure for failure in failures}


def _read_failures(path: Path) -> list[Failure]:
    try:
        *lines, last = path.read_text(encoding="utf-8").split("\n")
        failures = [Failure.model_validate_json(line) for line in lines if line]
    except ValueError:  # the base class of pydantic's errors and of UnicodeDecodeError
        raise UsageError(
            f"{path} cannot be read; delete it to have the objects that failed tried again"
        ) from None
    with contextlib.suppress(ValueError):  # the last line may be incomplete
        failures += [Failure.model_validate_json(last)] if last else []
    return failures
