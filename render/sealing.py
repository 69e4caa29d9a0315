"""Shards out of finished objects, made beside the thread that deals out jobs."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from render.catalog import ObjectRef
from render.plan import Plan
from render.staging import Staging
from shards.errors import IebenchError
from shards.lists import Name
from shards.pixels import PixelSums
from shards.salvage import read_objects_if
from shards.samples import Sample, is_unchanged
from shards.sealed import SealedShard, keep_rows
from shards.shard_plan import ShardPlan
from shards.writer import encode_members, join_shard

_AT_ONCE = 4
"""Number of threads; sealing waits for disks and hashes, which release Python's global interpreter lock (GIL)."""


@dataclass(frozen=True)
class KeptObject:
    """A sound object in a shard that is there.

    Attributes:
        path: The file of the shard.
        pixels: Sums over the object's views.
        devices: Kinds of devices that may have rendered it.
    """

    path: Path
    pixels: PixelSums
    devices: tuple[str, ...]


class Sealer:
    """Seals shards in threads of its own; leaving it waits for all of them.

    Args:
        plan: Plan of the dataset.
        staging: Folder of the finished objects.
    """

    def __init__(self, plan: Plan, staging: Staging) -> None:
        self._plan = plan
        self._staging = staging
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="seal")
        self._running: list[Future[None]] = []

    def __enter__(self) -> "Sealer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is None:
                self.raise_errors(wait=True)
        finally:
            self._threads.shutdown(cancel_futures=True)

    def seal(
        self,
        shard: ShardPlan[ObjectRef],
        kept: dict[Name, KeptObject],
        done: Callable[[], object] = lambda: None,
    ) -> None:
        """Begins to make a shard of the objects that are staged, and of those that are sound in shards that are there.

        Args:
            shard: The shard.
            kept: The objects that are sound in shards that are there, by name.
            done: Called once the shard is sealed.
        """
        self._running.append(self._threads.submit(self._seal, shard, kept, done))

    def raise_errors(self, wait: bool = False) -> None:
        """Raises the error of a shard that could not be sealed.

        Args:
            wait: Whether to wait for shards that are being sealed.
        """
        ended = [future for future in self._running if wait or future.done()]
        self._running = [future for future in self._running if future not in ended]
        for future in ended:
            future.result()

    def _seal(
        self, shard: ShardPlan[ObjectRef], kept: dict[Name, KeptObject], done: Callable[[], object]
    ) -> None:
        staging, settings = self._staging, self._plan.settings
        staged = [item for item in shard.objects if staging.holds(item)]
        sealed = staging.shards.get(shard.name)
        if staged or len(kept) > (sealed.info.objects if sealed is not None else 0):
            records = [staging.staged(item) for item in staged]
            info = join_shard(
                staging.out / shard.name,
                self._pieces(shard, set(staged), kept),
                len(staged) + len(kept),
                (len(staged) + len(kept)) * settings.views,
            )
            devices = {record.device for record in records}.union(*(item.devices for item in kept.values()))
            info = info.model_copy(update={"devices": tuple(sorted(devices))})
            keep_rows(
                staging.records, staging.out, shard.split, info, settings.latents, settings.render.passes
            )
            sums = [item.pixels for item in kept.values()] + [record.pixels for record in records]
            staging.shards.record(SealedShard(info=info, pixels=sum(sums, start=PixelSums())))
            staging.forget(staged)
        done()

    def _pieces(
        self, shard: ShardPlan[ObjectRef], staged: set[ObjectRef], kept: dict[Name, KeptObject]
    ) -> Iterator[bytes]:
        """The members of all objects of a shard, in order, some of them out of shards as they are now."""
        kept_in = {
            item: kept[name].path for item in shard.objects if (name := (item.synset, item.object_id)) in kept
        }
        old = {
            path: read_objects_if(
                path,
                [item for item, source in kept_in.items() if source == path],
                self._plan.settings.views,
                _is_as_it_was,
            )
            for path in set(kept_in.values())
        }
        for item in shard.objects:
            if path := kept_in.get(item):
                found, samples = next(old[path], (None, []))
                if found != item:
                    raise IebenchError(f"shard {path} was altered meanwhile; run the same command again")
                yield encode_members(samples)
            elif item in staged:
                yield self._staging.members(item)


def _is_as_it_was(sample: Sample) -> bool:
    return is_unchanged(sample) is True
