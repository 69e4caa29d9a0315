"""``failures.jsonl``: the objects that a dataset should hold and does not, and why."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from shards.errors import UsageError
from shards.files import write_text
from shards.shard_plan import Named

FAILURES_NAME = "failures.jsonl"


class Failure(BaseModel):
    """One line of ``failures.jsonl``: an object that could not be made, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    synset: str
    object: str
    reason: str
    attempts: int


class Failures:
    """Kept as they come, and in catalogue order once all are known.

    Whoever deletes the file asks for its objects to be tried again.

    Args:
        path: the file; read where it is there.
        beside: files of other processes, whose failures are known here but not written.
    """

    def __init__(self, path: Path, beside: tuple[Path, ...] = ()) -> None:
        self._path = path
        self._beside = _by_object(beside)
        self._own = _by_object((path,))
        if path.is_file() and not path.read_bytes().endswith(b"\n"):  # whoever wrote it was killed
            self.write()

    def __contains__(self, item: Named) -> bool:
        name = (item.synset, item.object_id)
        return name in self._own or name in self._beside

    def __iter__(self) -> Iterator[Failure]:
        return iter(sorted(self._own.values(), key=lambda failure: (failure.synset, failure.object)))

    def __len__(self) -> int:
        return len(self._own)

    def add(self, item: Named, reason: str, attempts: int) -> None:
        """Records that an object could not be made."""
        failure = Failure(synset=item.synset, object=item.object_id, reason=reason, attempts=attempts)
        self._own[item.synset, item.object_id] = failure
        with self._path.open("ab") as stream:
            stream.write(failure.model_dump_json().encode() + b"\n")
            stream.flush()
            os.fsync(stream.fileno())

    def replace(self, items: Iterable[Named], failures: Iterable[Failure]) -> None:
        """Records which of some objects failed when they were last tried."""
        tried = {(item.synset, item.object_id) for item in items}
        own = {name: failure for name, failure in self._own.items() if name not in tried}
        own.update({(failure.synset, failure.object): failure for failure in failures})
        if own != self._own:
            self._own = own
            self.write()

    def absorb(self, paths: tuple[Path, ...]) -> None:
        """Takes over what other files hold, and deletes them once it is written."""
        if paths:
            self._own = _by_object((self._path, *paths))
            self.write()
        for path in paths:
            path.unlink()

    def write(self) -> None:
        """Writes the file anew, in order; it is empty where nothing failed."""
        write_text(self._path, "".join(failure.model_dump_json() + "\n" for failure in self))


def _by_object(paths: tuple[Path, ...]) -> dict[tuple[str, str], Failure]:
    failures = (failure for path in paths if path.is_file() for failure in _read_failures(path))
    return {(failure.synset, failure.object): failure for failure in failures}


def _read_failures(path: Path) -> list[Failure]:
    try:
        *lines, last = path.read_text(encoding="utf-8").split("\n")
        failures = [Failure.model_validate_json(line) for line in lines if line]
    except ValueError:  # pydantic's errors and those of UTF-8 are of it
        raise UsageError(
            f"{path} cannot be read; delete it to have the objects that failed tried again"
        ) from None
    with contextlib.suppress(ValueError):  # the end of the last line was not written
        failures += [Failure.model_validate_json(last)] if last else []
    return failures
