"""The sealed shards of a dataset that is being made, and what they add up to."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from shards.catalogue import ShardPlan
from shards.failures import Failures
from shards.files import write_text
from shards.images import ChannelOrder
from shards.pixels import Channels, PixelSums, pixels_of_shard
from shards.schema import INDEX_NAME, DatasetIndex, ShardInfo, SplitInfo, parse_index


class SealedShard(BaseModel):
    """What is known of a shard once it is sealed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    info: ShardInfo
    pixels: PixelSums | None = None  # None where an earlier, finished run sealed it


class SealedShards:
    """Records of sealed shards, a file each.

    Args:
        out: the dataset's folder.
        records: the folder of the records; it is made where it does not exist.
    """

    def __init__(self, out: Path, records: Path) -> None:
        self._out = out
        self._records = records
        records.mkdir(exist_ok=True)

    def record(self, shard: SealedShard) -> None:
        """Records that a shard is sealed."""
        write_text(self._record_path(shard.info.name), shard.model_dump_json())

    def get(self, name: str) -> SealedShard | None:
        """The record of a sealed shard whose file is there at its full size."""
        record = self._record_path(name)
        if not record.is_file():
            return None
        shard = SealedShard.model_validate_json(record.read_text())
        path = self._out / name
        return shard if path.is_file() and path.stat().st_size == shard.info.bytes else None

    def adopt(self, shards: Sequence[ShardPlan]) -> None:
        """Where the dataset was whole once, its index speaks for those of the shards that are still there."""
        earlier = self._earlier()
        own = {shard.name for shard in shards}
        for split in earlier.splits.values() if earlier is not None else ():
            for info in split.shards:
                if info.name in own and self.get(info.name) is None:
                    self.record(SealedShard(info=info))

    def is_complete(self, shard: ShardPlan, failures: Failures) -> bool:
        """Whether each object of a shard is sealed in it or known to fail."""
        sealed = self.get(shard.name)
        failed = sum(item in failures for item in shard.objects)
        return (sealed.info.objects if sealed else 0) + failed == len(shard.objects)

    def splits(self, shards: Sequence[ShardPlan]) -> dict[str, SplitInfo]:
        """The splits of the dataset; a shard of which nothing was sealed is left out."""
        sealed = [(shard.split, self.get(shard.name)) for shard in shards]
        infos = {
            split: tuple(record.info for owner, record in sealed if owner == split and record is not None)
            for split in ("train", "val")
        }
        return {
            split: SplitInfo(
                shards=members,
                objects=sum(shard.objects for shard in members),
                views=sum(shard.views for shard in members),
            )
            for split, members in infos.items()
        }

    def channel_statistics(
        self, splits: dict[str, SplitInfo], order: ChannelOrder
    ) -> tuple[Channels, Channels]:
        """Mean and deviation of the training views (of all views where none is for training)."""
        shards = splits["train"].shards or splits["val"].shards
        earlier = self._earlier()
        if earlier and shards == (earlier.splits["train"].shards or earlier.splits["val"].shards):
            return earlier.channel_mean, earlier.channel_std
        total = PixelSums()
        for info in shards:
            record = self.get(info.name)
            known = record.pixels if record is not None else None
            total += known or pixels_of_shard(self._out, info, order)
        return total.mean_and_std()

    def _earlier(self) -> DatasetIndex | None:
        """The index of an earlier run, where the dataset was whole once."""
        path = self._out / INDEX_NAME
        return parse_index(path) if path.is_file() else None

    def _record_path(self, name: str) -> Path:
        return self._records / f"{name}.json"
