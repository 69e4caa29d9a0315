"""Reads views from shards.

A shard is read once, front to back. Shard names come from ``dataset.json`` and are opened as plain files; if the
dataset is at an address, ``shards.mirror`` downloads them first. A URL inside a dataset is never followed.
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
    """One view as it is stored. Its methods decode the image and the passes.

    They raise a UsageError if the pass was not read with the view, and an IebenchError if its bytes are broken.

    Attributes:
        metadata: Contents of the ``.json`` member.
        jpeg: JPEG bytes of the image.
        channel_order: Order of the channels in the JPEG.
        passes: PNG bytes of each pass that was read.
    """

    metadata: SampleMetadata
    jpeg: bytes
    channel_order: ChannelOrder = "rgb"
    passes: Mapping[Pass, bytes] = field(default_factory=dict)

    def pixels(self, out: np.ndarray | None = None) -> np.ndarray:
        """Decodes the image to (height, width, 3) uint8 RGB. A picture of another size is scaled and cut to the view.

        Args:
            out: (height, width, 3) uint8 array to decode into; by default a new one.
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
        """Decodes the image to (height, width, 3) uint8 RGB in its stored size, without scaling or cutting."""
        return decode_jpeg(self.jpeg, self.metadata.key, self.channel_order)

    def mask(self) -> np.ndarray:
        """Decodes the mask to (height, width) bool; True where the object is seen at the pixel's centre."""
        return decode_mask(self._stored("mask"), self.metadata.key)

    def depth(self) -> np.ndarray:
        """Decodes the depth to (height, width) float32 metres along the camera's axis; infinite if too far to store."""
        stored = self._stored("depth")
        if self.metadata.depth_scale is None:
            raise IebenchError(f"{self.metadata.key}: its metadata lacks depth_scale; {_BROKEN_SHARD}")
        return decode_depth(stored, self.metadata.depth_scale, self.metadata.key)

    def normal(self) -> np.ndarray:
        """Decodes the normals to (height, width, 3) float32 unit vectors: x right, y up, z towards the camera."""
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
    """Reads the samples of one shard in order, of which only ``wanted`` members are read (``shards.tar.read_members``).

    Raises:
        IebenchError: The file cannot be read, is cut short, or is not a tar of samples.
    """
    try:
        for sample in walk_samples(path, wanted):
            if isinstance(sample, Damage):
                where = sample.name or (f"after {sample.after}" if sample.after else "at its start")
                raise IebenchError(f"shard {path} is damaged ({where}: {sample.message}); {_BROKEN_SHARD}")
            yield sample
    except OSError as error:
        raise IebenchError(f"shard {path} cannot be read ({error}); {_BROKEN_SHARD}") from None


def read_shard(
    folder: Path, shard: ShardInfo, channel_order: ChannelOrder, passes: Collection[Pass] = PASSES
) -> Iterator[View]:
    """Reads the views of one shard in order, each with those of its passes that are in ``passes``.

    Raises:
        IebenchError: The shard is damaged, a sample lacks a member or breaks the dataset format, or the number of views
            is wrong.
    """
    for sample, path in whole_shard(folder, shard):
        yield parse_view(sample, path, channel_order, passes)


def whole_shard(folder: Path, shard: ShardInfo) -> Iterator[tuple[Sample, Path]]:
    """Reads the samples of a shard, each together with the path of the shard's file.

    A shard of a mirror is downloaded first, and its SHA-256 is checked.

    Raises:
        IebenchError: The shard cannot be downloaded, is damaged, or the number of its views is wrong.
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
    """Reads the objects ``start`` to ``stop - 1`` of a shard, each as the list of all its views, without passes.

    The bytes of earlier objects are skipped. By default, the whole shard is read.

    Raises:
        IebenchError: The shard is damaged, a sample lacks a member or breaks the dataset format, an object lacks a
            view, or there are too few objects.
    """
    path = local_shard(folder, shard)
    stop = shard.objects if stop is None else stop
    members = index.views_per_object * (2 + len(index.passes))
    samples = read_samples(
        path, lambda number, name: number >= start * members and name.endswith((".jpg", ".json"))
    )
    views: list[View] = []
    done = start
    for position, sample in enumerate(samples):
        number, view = divmod(position, index.views_per_object)
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
    """Makes a view from a sample of the shard ``path``, with those of its passes that are in ``passes``.

    Raises:
        IebenchError: The image or the metadata is missing, or the metadata breaks the dataset format.
    """
    metadata = parse_metadata(sample, path)
    stored = {name: sample[member_of(name)] for name in passes if member_of(name) in sample}
    return View(metadata, sample["jpg"], channel_order, stored)


def parse_metadata(sample: Sample, path: Path) -> SampleMetadata:
    """Parses the metadata of a sample.

    Raises:
        IebenchError: The image or the metadata is missing, or the metadata breaks the dataset format.
    """
    missing = [extension for extension in ("jpg", "json") if extension not in sample]
    if missing:
        raise _broken(sample, path, f"member .{missing[0]} is missing")
    try:
        return SampleMetadata.model_validate_json(sample["json"])
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        message = f"{field}: {first['msg']}" if field else first["msg"]
        raise _broken(sample, path, f"its metadata cannot be read ({message})") from None


def read_views(folder: Path, index: DatasetIndex, split: str) -> Iterator[View]:
    """Reads every view of a split exactly once, in the order of the index."""
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
