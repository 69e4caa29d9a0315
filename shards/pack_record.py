"""Records what a dataset was packed from, so that a rerun finds it complete without decompressing the archive."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shards.completion import CARD_NAME
from shards.errors import IebenchError
from shards.failures import FAILURES_NAME, Failures
from shards.files import sha256_of, write_text
from shards.lists import Name
from shards.pack_run import FOLDER_NAME, Packed
from shards.schema import INDEX_NAME, Record, open_dataset
from shards.table import TABLE_NAME

RECORD_NAME = ".packed.json"
_BESIDE = (INDEX_NAME, FAILURES_NAME, TABLE_NAME)
"""Files beside the shards that a rerun would read or write."""


class PackRequest(Record):
    """The archive that a dataset is packed from, with the options.

    Attributes:
        bytes: Size of the archive.
        changed: Modification time of the archive, in nanoseconds.
        splits: SHA-256 of the split of each object; empty if no lists were given.
        options: Other options of the command, by their names.
    """

    bytes: int
    changed: int
    splits: str
    options: dict[str, str | int | None]

    @classmethod
    def for_archive(cls, archive: Path, splits: Mapping[Name, str] | None, **options: Any) -> "PackRequest":
        """Makes the request for an existing archive."""
        status = archive.stat()
        digest = hashlib.sha256(json.dumps(sorted(splits.items())).encode()).hexdigest() if splits else ""
        return cls(bytes=status.st_size, changed=status.st_mtime_ns, splits=digest, options=options)


class _PackRecord(Record):
    """A request whose dataset is complete, with the SHA-256 of the files beside its shards at that time."""

    request: PackRequest
    beside: dict[str, str]


def write_pack_record(out: Path, request: PackRequest) -> None:
    """Records that the dataset of a request is complete."""
    write_text(out / RECORD_NAME, _record(out, request).model_dump_json())


def find_packed_dataset(out: Path, request: PackRequest) -> Packed | None:
    """Returns the dataset of a request if it is complete and unchanged; None if there is something to do.

    Only the names and sizes of shards are checked, as by ``open_dataset``.
    """
    record = out / RECORD_NAME
    begun = (out / FOLDER_NAME).exists()
    if begun or not record.is_file() or not (out / CARD_NAME).is_file():
        return None
    try:
        if _PackRecord.model_validate_json(record.read_bytes()) != _record(out, request):
            return None
        return Packed(open_dataset(out), tuple(Failures(out / FAILURES_NAME)), views=0)
    except (OSError, ValueError, IebenchError):  # ValueError is the base class of pydantic's errors
        return None


def _record(out: Path, request: PackRequest) -> _PackRecord:
    return _PackRecord(request=request, beside={name: sha256_of(out / name) for name in _BESIDE})
