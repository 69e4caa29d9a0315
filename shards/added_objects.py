"""Adds objects to a complete dataset without rendering or packing the other objects again.

Shards hold the objects of a split in the order of the catalog. An object that is added in between moves the last
object of its shard to the next shard, and so on to the end of the split. Adding ``b`` to shards of two objects::

    before: a c | d e
    after:  a b | c d | e

Here both old shards hold an object that now belongs elsewhere (``c`` and ``e``). Such shards are moved aside, and the
new shards are made from the intact objects in them and from the added objects.
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


def require_only_additions(out: Path, index: DatasetIndex, objects: Sequence[CatalogEntry]) -> str:
    """Raises an error unless a catalog has all objects of a dataset, with the same splits and labels.

    Returns:
        SHA-256 of the catalog from which the dataset was made.

    Raises:
        UsageError: Objects are missing or moved to the other split, or new classes changed the labels.
        IebenchError: The dataset has no ``latents.parquet``, or it is broken.
    """
    from shards.table import open_table

    columns = ["synset", "object", "split", "label"]
    rows = open_table(out, index).read([shard for _, shard in index.all_shards()], columns)
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
    """Returns whether shards were moved aside and the dataset was not completed since then."""
    return (staging / FOLDER_NAME).is_dir()


def move_aside(sealed: SealedShards, staging: Path, shards: Sequence[ShardPlan], rows: RowsOfShard) -> None:
    """Moves those finished shards aside that hold an object which belongs elsewhere in the new plan's ``shards``."""
    sealed.adopt(shards)
    folder = staging / FOLDER_NAME
    folder.mkdir(exist_ok=True)
    sealed.move_displaced(shards, rows, folder)


def shards_aside(staging: Path) -> dict[Path, frozenset[Name]]:
    """Returns the objects in each shard that was moved aside, by the shard's path."""
    import pyarrow.parquet

    return {
        path.with_suffix(".tar"): frozenset(names_in(pyarrow.parquet.read_table(path, use_threads=False)))
        for path in sorted((staging / FOLDER_NAME).glob("*.parquet"))
    }


def sources_of(
    own: Path, objects: Sequence[AnyCatalogEntry], aside: dict[Path, frozenset[Name]]
) -> Iterator[tuple[Path, tuple[AnyCatalogEntry, ...]]]:
    """Yields the files that may hold objects of a shard, each with those that it may hold, in order.

    Args:
        own: Path of the shard itself, which need not exist.
        objects: Objects of the shard, in order.
        aside: Objects in each shard that was moved aside, from ``shards_aside``.
    """
    if objects and own.is_file():
        yield own, tuple(objects)
    for path, names in aside.items():
        found = tuple(item for item in objects if (item.synset, item.object_id) in names)
        if found:
            yield path, found
