"""Records the finished ("sealed") shards of a dataset under way, and makes the dataset's splits from them."""

import contextlib
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shards.errors import IebenchError
from shards.failures import Failures
from shards.files import atomic_write, sha256_of, write_text
from shards.images import ChannelOrder
from shards.lists import Name
from shards.parallel import run_parallel
from shards.passes import Pass
from shards.pixels import Channels, PixelSums
from shards.reader import read_shard
from shards.schema import INDEX_NAME, DatasetIndex, Record, ShardInfo, SplitInfo, parse_index
from shards.shard_plan import ShardPlan
from shards.variants import Latent

# PyArrow takes a moment to load, and render workers do not need it.
if TYPE_CHECKING:
    import pyarrow

    from shards.table import LatentsTable

RowsOfShard = Callable[[str, ShardInfo], "pyarrow.Table"]
"""A function of a split's name and a shard that returns the shard's rows of ``latents.parquet``."""

_SHARD_KEY = b"iebench.shard"


class SealedShard(Record):
    """The record of a finished shard.

    Attributes:
        info: Entry of the shard in ``dataset.json``.
        pixels: Sums over the views of the shard; None if it was made by a run that did not keep them.
    """

    info: ShardInfo
    pixels: PixelSums | None = None


def keep_rows(
    records: Path,
    out: Path,
    split: str,
    info: ShardInfo,
    latents: Sequence[Latent],
    passes: Sequence[Pass] = (),
) -> None:
    """Writes the ``latents.parquet`` rows of a shard that was just finished to a file in the folder ``records``."""
    from shards.table import rows_of_shard, write_rows

    rows = rows_of_shard(out / info.name, split, latents, passes)
    with atomic_write(records / f"{info.name}.parquet") as stream:
        write_rows(stream, rows.schema.with_metadata({_SHARD_KEY: info.sha256}), [rows])


def names_in(rows: "pyarrow.Table") -> tuple[Name, ...]:
    """Returns the objects in rows of ``latents.parquet``, each once, in order."""
    columns = (rows[name].to_pylist() for name in ("synset", "object"))
    return tuple(dict.fromkeys(zip(*columns, strict=True)))


def _rows_if_readable(split: str, info: ShardInfo, rows: RowsOfShard) -> "pyarrow.Table | None":
    try:
        return rows(split, info)
    except IebenchError:
        return None


def _altered_name(job: tuple[Path, str]) -> str | None:
    """Returns the name of a shard whose SHA-256 is wrong; None if it is right."""
    path, expected = job
    try:
        return None if sha256_of(path) == expected else path.name
    except OSError:
        return path.name


class SealedShards:
    """The records of a dataset's finished shards, one file for each in the folder ``records``, which is created."""

    def __init__(self, out: Path, records: Path) -> None:
        self._out = out
        self._records = records
        self._damaged: set[str] = set()
        records.mkdir(exist_ok=True)

    def record(self, shard: SealedShard) -> None:
        """Records that a shard is finished."""
        self._damaged.discard(shard.info.name)
        write_text(self._record_path(shard.info.name), shard.model_dump_json())

    def rows(
        self, split: str, info: ShardInfo, latents: Sequence[Latent], passes: Sequence[Pass]
    ) -> "pyarrow.Table":
        """Returns the ``latents.parquet`` rows of a finished shard, from ``keep_rows`` or else from the shard itself.

        Raises:
            IebenchError: The rows were not kept, and the shard is damaged.
        """
        import pyarrow.parquet

        from shards.table import rows_of_shard

        path = self._records / f"{info.name}.parquet"
        if path.is_file():
            kept = pyarrow.parquet.read_table(path, use_threads=False)
            if (kept.schema.metadata or {}).get(_SHARD_KEY) == info.sha256.encode():
                return kept
        if self._earlier_table is not None and info in self._earlier_table.shards:
            return self._earlier_table.rows_of(info)
        return rows_of_shard(self._out / info.name, split, latents, passes)

    @functools.cached_property
    def _earlier_table(self) -> "LatentsTable | None":
        """Table of an earlier, completed run; None if there is none or it is broken."""
        from shards.table import open_table

        earlier = self._earlier()
        try:
            return open_table(self._out, earlier) if earlier is not None else None
        except IebenchError:  # its rows are read from the shards instead
            return None

    def get(self, name: str) -> SealedShard | None:
        """Returns the record of a finished shard; None if the shard is missing, has a wrong size or is damaged."""
        record = self._record_path(name)
        if name in self._damaged or not record.is_file():
            return None
        shard = SealedShard.model_validate_json(record.read_text())
        path = self._out / name
        return shard if path.is_file() and path.stat().st_size == shard.info.bytes else None

    def move_displaced(self, shards: Sequence[ShardPlan], rows: RowsOfShard, folder: Path) -> None:
        """Moves those finished shards to another folder that hold an object which does not belong in them.

        A moved shard becomes ``SHA256.tar``, its rows become ``SHA256.parquet``, and its record ``SHA256.json``.
        """
        from shards.table import write_rows

        for shard in shards:
            sealed = self.get(shard.name)
            if sealed is None:
                continue
            table = _rows_if_readable(shard.split, sealed.info, rows)
            names = set(names_in(table)) if table is not None else set()
            if names and names <= {(item.synset, item.object_id) for item in shard.objects}:
                continue
            if table is not None and names:
                with atomic_write(folder / f"{sealed.info.sha256}.parquet") as stream:
                    write_rows(stream, table.schema, [table])
                write_text(folder / f"{sealed.info.sha256}.json", sealed.model_dump_json())
                (self._out / shard.name).rename(folder / f"{sealed.info.sha256}.tar")
            self._record_path(shard.name).unlink()

    def devices_of(self, path: Path) -> tuple[str, ...]:
        """Returns the kinds of devices that rendered a shard, even if it is damaged; empty if they are not known.

        The shard is in the dataset's folder or where ``move_displaced`` moved it.
        """
        own = path.parent == self._out
        record = self._record_path(path.name) if own else path.with_suffix(".json")
        return SealedShard.model_validate_json(record.read_text()).info.devices if record.is_file() else ()

    def adopt(self, shards: Sequence[ShardPlan]) -> None:
        """Records those shards as finished that the index of an earlier, completed run lists and that still exist."""
        earlier = self._earlier()
        own = {shard.name for shard in shards}
        for _, info in earlier.all_shards() if earlier is not None else ():
            if info.name in own and self.get(info.name) is None:
                self.record(SealedShard(info=info.model_copy(update={"pixels": None}), pixels=info.pixels))

    def find_damage(self, shards: Sequence[ShardPlan], workers: int) -> None:
        """Checks the SHA-256 of finished shards in ``workers`` processes. A shard with a wrong one is not finished."""
        sealed = (self.get(shard.name) for shard in shards)
        jobs = [(self._out / found.info.name, found.info.sha256) for found in sealed if found is not None]
        with contextlib.closing(run_parallel(_altered_name, jobs, workers)) as names:
            self._damaged.update(name for name in names if name is not None)

    def is_complete(self, shard: ShardPlan, failures: Failures, rows: RowsOfShard) -> bool:
        """Returns whether each object of a shard is in the finished shard or known to fail."""
        sealed = self.get(shard.name)
        if sealed is not None and sealed.info.objects == len(shard.objects):
            return True
        table = _rows_if_readable(shard.split, sealed.info, rows) if sealed is not None else None
        names = frozenset(names_in(table)) if table is not None else frozenset()
        return all((item.synset, item.object_id) in names or item in failures for item in shard.objects)

    def splits(self, shards: Sequence[ShardPlan]) -> dict[str, SplitInfo]:
        """Returns the splits of the dataset with its finished shards; others are left out."""
        infos: dict[str, list[ShardInfo]] = {"train": [], "val": []}
        for shard in shards:
            if (sealed := self.get(shard.name)) is not None:
                infos[shard.split].append(sealed.info.model_copy(update={"pixels": sealed.pixels}))
        return {
            split: SplitInfo(
                shards=tuple(members),
                objects=sum(shard.objects for shard in members),
                views=sum(shard.views for shard in members),
            )
            for split, members in infos.items()
        }

    def channel_statistics(
        self, splits: dict[str, SplitInfo], order: ChannelOrder
    ) -> tuple[Channels, Channels]:
        """Returns the channel mean and standard deviation of the training views; of the others if there are none."""
        shards = splits["train"].shards or splits["val"].shards
        earlier = self._earlier()
        if earlier and shards == (earlier.splits["train"].shards or earlier.splits["val"].shards):
            return earlier.channel_mean, earlier.channel_std
        total = PixelSums()
        for info in shards:
            if info.pixels:
                total += info.pixels
            else:
                for view in read_shard(self._out, info, order, passes=()):
                    total += PixelSums.from_image(view.pixels())
        return total.mean_and_std()

    def _earlier(self) -> DatasetIndex | None:
        """Reads the index of an earlier run that completed the dataset; None if there is none."""
        path = self._out / INDEX_NAME
        return parse_index(path) if path.is_file() else None

    def _record_path(self, name: str) -> Path:
        return self._records / f"{name}.json"
