"""Views out of shards.

A shard is read once, front to back. Shard names come from ``dataset.json`` and are opened as plain files: no
URL of any kind is followed.
"""

import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from webdataset.tariterators import group_by_keys, tar_file_expander

from shards.errors import IebenchError, UsageError
from shards.images import decode_jpeg
from shards.passes import PASSES, Pass, decode_depth, decode_mask, decode_normal, member_of
from shards.schema import DatasetIndex, SampleMetadata, ShardInfo

_BROKEN_SHARD = "run `iebench verify` on the dataset to see what else is wrong"


@dataclass(frozen=True)
class View:
    """One view as stored: its metadata, its JPEG bytes and the PNG bytes of the passes it has.

    The passes' methods raise a UsageError where the view lacks the pass, an IebenchError where its bytes are
    broken.
    """

    metadata: SampleMetadata
    jpeg: bytes
    passes: Mapping[Pass, bytes] = field(default_factory=dict)

    def pixels(self) -> np.ndarray:
        """(height, width, 3) uint8, RGB."""
        return decode_jpeg(self.jpeg, self.metadata.key)

    def mask(self) -> np.ndarray:
        """(height, width) bool: whether the pixel's centre sees the object."""
        return decode_mask(self._stored("mask"), self.metadata.key)

    def depth(self) -> np.ndarray:
        """(height, width) float32: metres along the camera's axis; infinite where it is too far to be stored."""
        stored = self._stored("depth")
        if self.metadata.depth_scale is None:
            raise IebenchError(f"{self.metadata.key}: its metadata lacks depth_scale; {_BROKEN_SHARD}")
        return decode_depth(stored, self.metadata.depth_scale, self.metadata.key)

    def normal(self) -> np.ndarray:
        """(height, width, 3) float32: unit vectors; x to the right, y up, z towards the camera."""
        return decode_normal(self._stored("normal"), self.metadata.key)

    def _stored(self, name: Pass) -> bytes:
        if name not in self.passes:
            raise UsageError(
                f"{self.metadata.key} was read without a pass {name!r}; `iebench render --passes {name}` makes it"
            )
        return self.passes[name]


def read_samples(path: Path) -> Iterator[dict[str, Any]]:
    """The samples of one shard in order: ``__key__`` and the members' bytes by extension.

    Raises:
        IebenchError: the file is no whole tar.
    """
    try:
        with path.open("rb") as stream:
            source = [{"url": path.name, "stream": stream}]
            for sample in group_by_keys(tar_file_expander(source)):
                yield {
                    key: value for key, value in sample.items() if key not in ("__url__", "__local_path__")
                }
    except (OSError, ValueError, EOFError, tarfile.TarError) as error:
        raise IebenchError(f"shard {path} cannot be read ({_first_line(error)}); {_BROKEN_SHARD}") from None


def read_shard(folder: Path, shard: ShardInfo, passes: Collection[Pass] = PASSES) -> Iterator[View]:
    """The views of one shard in order, with those of their passes that are in ``passes``.

    Raises:
        IebenchError: the shard is no whole tar, or a sample lacks a member or breaks the contract, or there
            are more or fewer views than there should be (a tar whose middle is damaged just seems to end).
    """
    path = folder / shard.name
    count = 0
    for sample in read_samples(path):
        yield parse_view(sample, path, passes)
        count += 1
    if count != shard.views:
        raise IebenchError(
            f"shard {path} holds {count:,} views and should hold {shard.views:,}; {_BROKEN_SHARD}"
        )


def parse_view(sample: dict[str, Any], path: Path, passes: Collection[Pass] = PASSES) -> View:
    """One raw sample as a view, with those of its passes that are in ``passes``.

    Raises:
        IebenchError: a member is missing or breaks the contract.
    """
    place = f"shard {path}, sample {sample['__key__']}"
    missing = [extension for extension in ("jpg", "json") if extension not in sample]
    if missing:
        raise IebenchError(f"{place}: member .{missing[0]} is missing; {_BROKEN_SHARD}")
    try:
        metadata = SampleMetadata.model_validate(json.loads(sample["json"]))
    except (ValueError, RecursionError) as error:  # pydantic's errors are ValueErrors
        raise IebenchError(
            f"{place}: its metadata cannot be read ({_first_line(error)}); {_BROKEN_SHARD}"
        ) from None
    stored = {name: sample[member_of(name)] for name in passes if member_of(name) in sample}
    return View(metadata, sample["jpg"], stored)


def read_views(folder: Path, index: DatasetIndex, split: str) -> Iterator[View]:
    """Every view of a split exactly once, in the order of the index."""
    for shard in index.split(split).shards:
        yield from read_shard(folder, shard)


def _first_line(error: Exception) -> str:
    """What went wrong, without the objects that webdataset adds to an error's arguments."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    message = str(error) if isinstance(error, OSError) else str(next(iter(error.args), ""))
    return message.strip().split("\n")[0].split(" @ <")[0] or type(error).__name__
