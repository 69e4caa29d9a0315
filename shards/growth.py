"""Objects that are added to a dataset that is whole, so that only they have to be made.

Shards hold the objects of a split in the order of the catalogue, so an object that comes in between moves the last one of
its shard to the next shard, and so on to the end of the split. With two objects a shard, ``b`` comes to ``a c | d e``::

    a b | c d | e

Shards with an object that does not belong in them any more move aside, and the new shards are made of the objects that are
sound in those and of the new ones.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from shards.errors import UsageError
from shards.failures import FAILURES_NAME, Failures
from shards.lists import Name
from shards.schema import DatasetIndex
from shards.sealed import RowsOfShard, SealedShards, names_in
from shards.shard_plan import AnyCatalogEntry, CatalogEntry, ShardPlan

FOLDER_NAME = "aside"

Aside = dict[Path, frozenset[Name]]
"""The objects in each shard that was moved aside."""


def require_grown(out: Path, index: DatasetIndex, objects: Sequence[CatalogEntry]) -> str:
    """Makes sure that a catalogue has all objects of a dataset, in their splits and with their labels.

    Args:
        out: The dataset's folder.
        index: The dataset's index.
        objects: The catalogue.

    Returns:
        The SHA-256 of the catalogue that the dataset was made of.

    Raises:
        UsageError: objects were left out or moved to the other split, or classes were added between others.
        IebenchError: the dataset has no ``latents.parquet`` that is right.
    """
    from shards.table import open_table

    shards = [shard for split in index.splits.values() for shard in split.shards]
    columns = ["synset", "object", "split", "label"]
    rows = open_table(out, index).read(shards, columns)
    there = set(zip(*(rows[name].to_pylist() for name in columns), strict=True))
    wanted = {(item.synset, item.object_id): (item.split, item.label) for item in objects}
    for synset, name, split, label in sorted(there):
        now = wanted.get((synset, name))
        if now != (split, label):
            changed = (
                "is not among these objects"
                if now is None
                else f"is of split {now[0]} and label {now[1]} now"
            )
            raise UsageError(
                f"{out} cannot have objects added: {synset}/{name} of split {split} and label {label} {changed}; "
                "choose another folder"
            )
    for failure in Failures(out / FAILURES_NAME):
        if (failure.synset, failure.object) not in wanted:
            raise UsageError(
                f"{out} cannot have objects added: {failure.synset}/{failure.object}, which failed, is not among these "
                "objects; choose another folder"
            )
    return str(index.renderer.get("catalogue_sha256"))


def is_moved(staging: Path) -> bool:
    """Whether shards were moved aside and the dataset is not whole since, so that shards may hold other objects."""
    return (staging / FOLDER_NAME).is_dir()


def move_aside(sealed: SealedShards, staging: Path, shards: Sequence[ShardPlan], rows: RowsOfShard) -> None:
    """Moves shards aside that hold an object which does not belong in them any more.

    Args:
        sealed: The sealed shards of the dataset.
        staging: The folder of the dataset under way.
        shards: The shards that are planned now.
        rows: Gives the rows of a sealed shard.
    """
    sealed.adopt(shards)
    folder = staging / FOLDER_NAME
    folder.mkdir(exist_ok=True)
    sealed.move_displaced(shards, rows, folder)


def shards_aside(staging: Path) -> Aside:
    """The shards that were moved aside, with the objects in each."""
    import pyarrow.parquet

    return {
        path.with_suffix(".tar"): frozenset(names_in(pyarrow.parquet.read_table(path, use_threads=False)))
        for path in sorted((staging / FOLDER_NAME).glob("*.parquet"))
    }


def sources_of(
    own: Path, objects: Sequence[AnyCatalogEntry], aside: Aside
) -> Iterator[tuple[Path, tuple[AnyCatalogEntry, ...]]]:
    """The files that may hold some objects of a shard, with the objects that each may hold.

    Args:
        own: The shard's own file, which need not be there.
        objects: Objects of the shard, in order.
        aside: The shards that were moved aside.
    """
    if objects and own.is_file():
        yield own, tuple(objects)
    for path, names in aside.items():
        found = tuple(item for item in objects if (item.synset, item.object_id) in names)
        if found:
            yield path, found
