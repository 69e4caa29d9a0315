"""Shards out of finished objects, made beside the thread that deals out jobs."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from render.catalog import ObjectRef
from render.plan import Plan, RenderShard
from render.staging import Staging
from shards.errors import IebenchError
from shards.lists import Name
from shards.pixels import PixelSums
from shards.salvage import read_objects_if
from shards.samples import is_unchanged
from shards.sealed import SealedShard, keep_rows
from shards.writer import encode_members, join_shard

_AT_ONCE = 4
"""Number of threads; sealing waits for disks and hashes, which release Python's global interpreter lock (GIL)."""


@dataclass(frozen=True)
class KeptObject:
    """A sound object in the shard at ``path``: the sums over its views, and the kinds of devices that may have rendered it."""

    path: Path
    pixels: PixelSums
    devices: tuple[str, ...]


class Sealer:
    """Seals shards in threads of its own; leaving it waits for all of them."""

    def __init__(self, plan: Plan, staging: Staging) -> None:
        self._plan = plan
        self._staging = staging
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="seal")
        self._running: list[Future[None]] = []

    def __enter__(self) -> "Sealer":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self.raise_errors(wait=True)
        finally:
            self._threads.shutdown(cancel_futures=True)

    def seal(self, shard: RenderShard, kept: dict[Name, KeptObject], done: Callable[[], object]) -> None:
        """Begins to make a shard of the objects that are staged and of those that are kept; then calls ``done``."""
        self._running.append(self._threads.submit(self._seal, shard, kept, done))

    def raise_errors(self, wait: bool = False) -> None:
        """Raises the error of a shard that could not be sealed; with ``wait``, once all are sealed."""
        ended = [future for future in self._running if wait or future.done()]
        self._running = [future for future in self._running if future not in ended]
        for future in ended:
            future.result()

    def _seal(self, shard: RenderShard, kept: dict[Name, KeptObject], done: Callable[[], object]) -> None:
        staging, settings = self._staging, self._plan.settings
        staged = [item for item in shard.objects if staging.holds(item)]
        sealed = staging.shards.get(shard.name)
        if staged or len(kept) > (sealed.info.objects if sealed is not None else 0):
            records = [staging.staged(item) for item in staged]
            pieces, objects = self._pieces(shard, set(staged), kept), len(staged) + len(kept)
            info = join_shard(staging.out / shard.name, pieces, objects, objects * settings.views)
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
        self, shard: RenderShard, staged: set[ObjectRef], kept: dict[Name, KeptObject]
    ) -> Iterator[bytes]:
        """The members of all objects of a shard, in order, some of them out of shards as they are now."""
        kept_in = {item: kept[item.name].path for item in shard.objects if item.name in kept}
        old = {
            path: read_objects_if(
                path,
                [item for item, source in kept_in.items() if source == path],
                self._plan.settings.views,
                lambda sample: is_unchanged(sample) is True,
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
