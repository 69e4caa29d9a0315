"""Views out of shards.

A shard is read once, front to back. Shard names come from ``dataset.json`` and are opened as plain files, which
``shards.mirror`` brings where the dataset stands elsewhere: no URL in a dataset is followed.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from shards.errors import IebenchError, UsageError
from shards.images import ChannelOrder, decode_jpeg, fitted
from shards.mirror import local_shard
from shards.passes import PASSES, Pass, decode_depth, decode_mask, decode_normal, member_of
from shards.samples import Sample, walk_samples
from shards.schema import DatasetIndex, SampleMetadata, ShardInfo
from shards.tar import Damage

_BROKEN_SHARD = "run `iebench verify` on the dataset to see what else is wrong"


@dataclass(frozen=True)
class View:
    """One view as stored: its metadata, its JPEG bytes, the order of their channels, and the PNG bytes of its passes.

    The passes' methods raise a UsageError where the view lacks the pass, an IebenchError where its bytes are
    broken.
    """

    metadata: SampleMetadata
    jpeg: bytes
    channel_order: ChannelOrder = "rgb"
    passes: Mapping[Pass, bytes] = field(default_factory=dict)

    def pixels(self, out: np.ndarray | None = None) -> np.ndarray:
        """(height, width, 3) uint8, RGB whatever the order in which they are stored; of a picture, as it is fitted.

        Args:
            out: such an array to decode into.
        """
        fit = self.metadata.fit
        if fit is None:
            return decode_jpeg(self.jpeg, self.metadata.key, self.channel_order, out)
        pixels = fitted(self.picture(), fit.shorter, fit.square)
        if out is None:
            return pixels
        if out.shape != pixels.shape:
            raise IebenchError(
                f"{self.metadata.key}: it is fitted to {fit.square} px, and the dataset says {len(out)}; {_BROKEN_SHARD}"
            )
        out[...] = pixels
        return out

    def picture(self) -> np.ndarray:
        """(height, width, 3) uint8, RGB: all that is stored, in its own size."""
        return decode_jpeg(self.jpeg, self.metadata.key, self.channel_order)

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


def read_samples(
    path: Path, wanted: Callable[[int, str], bool] = lambda number, name: True
) -> Iterator[Sample]:
    """The samples of one shard in order: ``__key__`` and the members' bytes by extension.

    Args:
        path: Path of the shard.
        wanted: Names to read, as ``shards.tar.read_members`` takes them.

    Raises:
        IebenchError: the file is no whole tar of samples.
    """
    try:
        for sample in walk_samples(path, wanted):
            if isinstance(sample, Damage):
                place = sample.name or (f"after {sample.after}" if sample.after else "at its start")
                raise IebenchError(f"shard {path} is damaged ({place}: {sample.message}); {_BROKEN_SHARD}")
            yield sample
    except OSError as error:
        raise IebenchError(f"shard {path} cannot be read ({error}); {_BROKEN_SHARD}") from None


def read_shard(
    folder: Path, shard: ShardInfo, channel_order: ChannelOrder, passes: Collection[Pass] = PASSES
) -> Iterator[View]:
    """The views of one shard in order, with those of their passes that are in ``passes``.

    Raises:
        IebenchError: the shard is no whole tar, or a sample lacks a member or breaks the contract, or there
            are more or fewer views than there should be.
    """
    for sample, path in whole_shard(folder, shard):
        yield parse_view(sample, path, channel_order, passes)


def whole_shard(folder: Path, shard: ShardInfo) -> Iterator[tuple[Sample, Path]]:
    """The samples of a shard, each with the shard's file, as many as there should be.

    The shard of a mirror comes first, and has its SHA-256 checked.

    Raises:
        IebenchError: the shard does not come, or is no whole tar, or holds more or fewer views.
    """
    path = local_shard(folder, shard)
    count = 0
    for sample in read_samples(path):
        yield sample, path
        count += 1
    if count != shard.views:
        raise IebenchError(
            f"shard {path} holds {count:,} views and should hold {shard.views:,}; {_BROKEN_SHARD}"
        )


def read_objects(
    folder: Path, index: DatasetIndex, shard: ShardInfo, start: int = 0, stop: int | None = None
) -> Iterator[list[View]]:
    """All views of each object of a shard, without passes, in order.

    Args:
        folder: Folder of the dataset.
        index: Index of the dataset.
        shard: The shard to read.
        start: the first object's place in the shard; the bytes of those before it are not read.
        stop: the place before which to stop; by default the shard's end.

    Raises:
        IebenchError: the shard is no whole tar, or a sample lacks a member or breaks the contract, or an object
            lacks a view, or there are fewer objects than there should be.
    """
    path = local_shard(folder, shard)
    stop = shard.objects if stop is None else stop
    members = index.views_per_object * (2 + len(index.passes))
    samples = read_samples(
        path, lambda number, name: number >= start * members and name.endswith((".jpg", ".json"))
    )
    views: list[View] = []
    done = start
    for place, sample in enumerate(samples):
        number, view = divmod(place, index.views_per_object)
        if number < start:
            continue
        if number >= stop:
            return
        views.append(parse_view(sample, path, index.channel_order, ()))
        if view == index.views_per_object - 1:
            _require_one_object(views, path)
            yield views
            views, done = [], number + 1
    if done < stop:
        raise IebenchError(
            f"shard {path} holds {done:,} whole objects and should hold {shard.objects:,}; {_BROKEN_SHARD}"
        )


def parse_view(
    sample: Sample, path: Path, channel_order: ChannelOrder, passes: Collection[Pass] = PASSES
) -> View:
    """One raw sample as a view, with those of its passes that are in ``passes``.

    Raises:
        IebenchError: a member is missing or breaks the contract.
    """
    metadata = parse_metadata(sample, path)
    stored = {name: sample[member_of(name)] for name in passes if member_of(name) in sample}
    return View(metadata, sample["jpg"], channel_order, stored)


def parse_metadata(sample: Sample, path: Path) -> SampleMetadata:
    """The metadata of one raw sample.

    Raises:
        IebenchError: a member is missing, or the metadata breaks the contract.
    """
    missing = [extension for extension in ("jpg", "json") if extension not in sample]
    if missing:
        raise _broken(sample, path, f"member .{missing[0]} is missing")
    try:
        return SampleMetadata.model_validate_json(sample["json"])
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = f"{place}: {first['msg']}" if place else first["msg"]
        raise _broken(sample, path, f"its metadata cannot be read ({message})") from None


def read_views(folder: Path, index: DatasetIndex, split: str) -> Iterator[View]:
    """Every view of a split exactly once, in the order of the index."""
    for shard in index.split(split).shards:
        yield from read_shard(folder, shard, index.channel_order)


def _require_one_object(views: list[View], path: Path) -> None:
    first = views[0].metadata
    for number, view in enumerate(views):
        found = view.metadata
        if (found.synset, found.object, found.view) != (first.synset, first.object, number):
            raise IebenchError(
                f"shard {path}, sample {found.key}: it stands where view {number} of object "
                f"{first.synset}/{first.object} should; {_BROKEN_SHARD}"
            )


def _broken(sample: Sample, path: Path, message: str) -> IebenchError:
    return IebenchError(f"shard {path}, sample {sample['__key__']}: {message}; {_BROKEN_SHARD}")
