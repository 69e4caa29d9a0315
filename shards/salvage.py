"""What is sound of a shard that has to be made anew, so that only the rest of its objects is.

An object is sound where all of its views are there, in order, and each is what the contract says, byte for byte: the
CRC-32 of the sample is right, its key, label and latents are those of the dataset, and its images decode.
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
    """A file in which sound objects of a shard are looked for.

    Attributes:
        path: The file, which is a shard.
        shard: The shard to be made, and the objects of it that are looked for.
        index: The dataset's index; the shards that it names do not matter.
    """

    path: Path
    shard: ShardPlan
    index: DatasetIndex


@dataclass(frozen=True)
class Salvaged:
    """The sound objects for a shard in a file, each with the sums of its pixels."""

    path: Path
    shard: str
    pixels: dict[Name, PixelSums]


def salvage(job: SalvageJob) -> Salvaged:
    """Finds the sound objects for a shard in a file; none where there is no such file."""
    found = sound_objects(job.path, job.shard.objects, job.index)
    pixels = {(item.synset, item.object_id): sums for item, _, sums in found}
    return Salvaged(job.path, job.shard.name, pixels)


def sound_objects(
    path: Path, objects: Sequence[AnyCatalogEntry], index: DatasetIndex
) -> Iterator[tuple[AnyCatalogEntry, list[Sample], PixelSums]]:
    """The sound objects of a shard in order, each with its samples and the sums of its pixels.

    Args:
        path: The shard's file, which need not be there.
        objects: The objects that belong in it, in order.
        index: The dataset's index.
    """

    def is_sound(sample: Sample) -> bool:
        return not any(sample_complaints(sample, index)) and is_unchanged(sample) is True

    for item, samples in read_objects_if(path, objects, index.views_per_object, is_sound):
        views = (parse_view(sample, path, index.channel_order, ()) for sample in samples)
        yield item, samples, sum((PixelSums.of(view.pixels()) for view in views), start=PixelSums())


class SoundObjects:
    """The sound objects in several files, taken one after the other in the order of the shard that they belong in.

    Args:
        sources: Files, each with the objects that are looked for in it, in order.
        index: The dataset's index.
    """

    def __init__(
        self, sources: Sequence[tuple[Path, Sequence[AnyCatalogEntry]]], index: DatasetIndex
    ) -> None:
        self._found = [sound_objects(path, objects, index) for path, objects in sources]
        self._next = [next(found, None) for found in self._found]

    def take(self, item: AnyCatalogEntry) -> tuple[list[Sample], PixelSums] | None:
        """The samples and the sums of the pixels of an object; None where no file has it."""
        taken = None
        for number, held in enumerate(self._next):
            if held is not None and held[0] == item:
                taken = held[1:]
                self._next[number] = next(self._found[number], None)
        return taken


def read_objects_if(
    path: Path, objects: Sequence[AnyCatalogEntry], views: int, is_sound: Callable[[Sample], bool]
) -> Iterator[tuple[AnyCatalogEntry, list[Sample]]]:
    """The objects of a shard whose samples are all there and sound; objects out of their order are passed over.

    Args:
        path: The shard's file, which need not be there; what stands behind a place that cannot be read is lost.
        objects: The objects that are looked for, in the order in which they stand in the shard.
        views: How many views each object should have.
        is_sound: Whether a sample may be kept.
    """
    keys = [[sample_key(item.synset, item.object_id, view) for view in range(views)] for item in objects]
    place_of = {key: place for place, own in enumerate(keys) for key in own}
    last = -1
    try:
        samples = (sample for sample in walk_samples(path) if not isinstance(sample, Damage))
        for place, group in groupby(samples, key=lambda sample: place_of.get(sample["__key__"], -1)):
            found = list(islice(group, views + 1))
            whole = place > last and [sample["__key__"] for sample in found] == keys[place]
            if whole and all(map(is_sound, found)):
                last = place
                yield objects[place], found
    except OSError:
        return
