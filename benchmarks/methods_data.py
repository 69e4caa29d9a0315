"""A third split: half of the validation objects of each class are for tuning, the others for the test."""

from collections.abc import Collection, Iterator
from pathlib import Path

from shards.errors import UsageError
from shards.files import write_text
from shards.lists import Name
from shards.mirror import local_shard
from shards.reader import read_samples, read_views
from shards.samples import Sample
from shards.schema import INDEX_NAME, DatasetIndex, SampleMetadata, SplitInfo, open_dataset
from shards.writer import seal_shard

TUNING, TEST = "tuning", "test"


def split_validation(data: Path, out: Path) -> tuple[Path, Path]:
    """Makes two datasets that share their training objects and have other validation objects each.

    Returns:
        The folders ``tuning`` and ``test`` in ``out``; training shards are linked, those of validation written anew.

    Raises:
        UsageError: The dataset has no training split, or one validation object.
    """
    index = open_dataset(data)
    index.split("train")
    chosen = tuning_objects(data, index)
    objects = index.split("val").objects
    folders = []
    for name, wanted in ((TUNING, len(chosen)), (TEST, objects - len(chosen))):
        folder = out / name
        folders.append(folder)
        if not wanted:
            raise UsageError(f"{data} has too few validation objects to split them")
        if not (folder / INDEX_NAME).is_file():
            _write_dataset(data, index, folder, chosen, name == TUNING, wanted)
    return folders[0], folders[1]


def tuning_objects(data: Path, index: DatasetIndex) -> set[Name]:
    """Every second validation object of each class, in the order of the shards, from the second on."""
    seen: dict[int, list[Name]] = {}
    for view in read_views(data, index, "val"):
        names = seen.setdefault(view.metadata.label, [])
        name = (view.metadata.synset, view.metadata.object)
        if not names or names[-1] != name:
            names.append(name)
    return {name for names in seen.values() for name in names[1::2]}


def _write_dataset(
    data: Path, index: DatasetIndex, folder: Path, chosen: Collection[Name], is_tuning: bool, objects: int
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for shard in index.split("train").shards:
        link = folder / shard.name
        link.unlink(missing_ok=True)
        link.symlink_to(local_shard(data, shard).resolve())
    samples = (sample for name, sample in _validation_samples(data, index) if (name in chosen) == is_tuning)
    sealed = seal_shard(folder / "val-000000.tar", samples, objects)
    val = SplitInfo(shards=(sealed,), objects=objects, views=sealed.views)
    splits = {"train": index.split("train"), "val": val}
    written = index.model_copy(update={"splits": splits, "latents_table": None})
    write_text(folder / INDEX_NAME, written.to_json())


def _validation_samples(data: Path, index: DatasetIndex) -> Iterator[tuple[Name, Sample]]:
    for shard in index.split("val").shards:
        for sample in read_samples(local_shard(data, shard)):
            metadata = SampleMetadata.model_validate_json(sample["json"])
            yield (metadata.synset, metadata.object), sample
