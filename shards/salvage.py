"""Finds the intact objects in a damaged shard, so that only the other objects have to be made again.

An object is intact if all of its views are there, in order, and each is valid: the sample's CRC-32 is right, its key,
label and latents are those of the dataset, and its images decode.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from shards.lists import Name
from shards.pixels import PixelSums
from shards.reader import parse_view
from shards.samples import Sample, is_unchanged, walk_samples
from shards.schema import DatasetIndex, sample_key
from shards.shard_plan import AnyCatalogEntry, ShardPlan
from shards.tar import Damage
from shards.verify.complaints import sample_complaints


@dataclass(frozen=True)
class SalvageJob:
    """A search for the intact objects of a shard to be made in the file ``path``."""

    path: Path
    shard: ShardPlan
    index: DatasetIndex


@dataclass(frozen=True)
class Salvaged:
    """The result of a search in a file for a shard's name: the sums over the views of each intact object."""

    path: Path
    shard: str
    pixels: dict[Name, PixelSums]


def salvage(job: SalvageJob) -> Salvaged:
    """Finds the intact objects of a shard in a file; there are none if the file does not exist."""
    found = sound_objects(job.path, job.shard.objects, job.index)
    pixels = {(item.synset, item.object_id): sums for item, _, sums in found}
    return Salvaged(job.path, job.shard.name, pixels)


def sound_objects(
    path: Path, objects: Sequence[AnyCatalogEntry], index: DatasetIndex
) -> Iterator[tuple[AnyCatalogEntry, list[Sample], PixelSums]]:
    """Yields those of ``objects`` that are intact in a file, in order, with their samples and sums over their views."""

    def is_sound(sample: Sample) -> bool:
        return not any(sample_complaints(sample, index)) and is_unchanged(sample) is True

    for item, samples in read_objects_if(path, objects, index.views_per_object, is_sound):
        views = (parse_view(sample, path, index.channel_order, ()) for sample in samples)
        yield item, samples, sum((PixelSums.from_image(view.pixels()) for view in views), start=PixelSums())


class SoundObjects:
    """The intact objects in several files, each of which is searched for its own objects.

    They are taken one after the other, in the order of the shard to be made.
    """

    def __init__(
        self, sources: Sequence[tuple[Path, Sequence[AnyCatalogEntry]]], index: DatasetIndex
    ) -> None:
        self._found = [sound_objects(path, objects, index) for path, objects in sources]
        self._next = [next(found, None) for found in self._found]

    def take(self, item: AnyCatalogEntry) -> tuple[list[Sample], PixelSums] | None:
        """Returns the samples of an object and the sums over its views; None if no file has it."""
        taken = None
        for number, held in enumerate(self._next):
            if held is not None and held[0] == item:
                taken = held[1:]
                self._next[number] = next(self._found[number], None)
        return taken


def read_objects_if(
    path: Path, objects: Sequence[AnyCatalogEntry], views: int, is_sound: Callable[[Sample], bool]
) -> Iterator[tuple[AnyCatalogEntry, list[Sample]]]:
    """Yields the objects in a file whose samples are all there and intact. Objects out of order are skipped.

    Args:
        path: File to search, which need not exist. If reading it fails at some byte, later objects are not found.
        objects: Objects to look for, in their order in the file.
        views: Number of views that each object should have.
        is_sound: Function that returns whether a sample is intact.
    """
    keys = [[sample_key(item.synset, item.object_id, view) for view in range(views)] for item in objects]
    position_of = {key: position for position, own in enumerate(keys) for key in own}
    last = -1
    try:
        samples = (sample for sample in walk_samples(path) if not isinstance(sample, Damage))
        for position, group in groupby(samples, key=lambda sample: position_of.get(sample["__key__"], -1)):
            found = list(islice(group, views + 1))
            whole = position > last and [sample["__key__"] for sample in found] == keys[position]
            if whole and all(map(is_sound, found)):
                last = position
                yield objects[position], found
    except OSError:
        return
