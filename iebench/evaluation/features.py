"""Runs every view through every frozen encoder once, and keeps the features on disk for all probes and metrics.

The features of one encoder on one split are a folder that can be used by itself: ``features.npy`` (views,
dimension) float16, ``latents.npy`` (views, number of latents) float64, ``labels.npy`` (views,) int64,
``objects.json`` with the (synset, object id) of each object, and ``meta.json``. A pass that was stopped leaves the
chunks that it had finished in ``chunks/``, and goes on behind them.
"""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from iebench.backbones.encoder import Encoder
from iebench.evaluation.corruptions import CLEAN, ShownStream, ShownViews, load_corrupt
from iebench.training.processes import Processes
from shards.errors import IebenchError, UsageError
from shards.files import atomic_write, write_text
from shards.loader import view_batches
from shards.schema import DatasetIndex
from shards.stream import ViewStream

CHUNK_VIEWS = 16_384
"""Number of views after which a pass saves a chunk; rounded to a multiple of the views per object."""
_FORMAT = 1
_LARGEST = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class Features:
    """Frozen representations of one split, object by object.

    Attributes:
        representations: Representations (objects, views, dimension) float16 or float32, perhaps mapped from a file.
        latents: Latents (objects, views, number of latents) float64.
        labels: Classes (objects,) int64.
        names: Pair (synset, object id) of each object.
    """

    representations: Tensor
    latents: Tensor
    labels: Tensor
    names: list[tuple[str, str]]

    @property
    def objects(self) -> int:
        return self.representations.shape[0]

    @property
    def views(self) -> int:
        return self.representations.shape[1]


@dataclass(frozen=True)
class FeatureSource:
    """Identity of stored features: they are used only for a request with an equal source.

    Attributes:
        fingerprint: SHA-256 of the encoder, as ``fingerprint_of_encoder`` gives it.
        data_sha256: SHA-256 of the dataset's index.
        split: Name of the split, ``train`` or ``val``, followed by the shown views unless all are shown as they are.
        views_per_object: Number of rows of each object.
        dimension: Width of the representation.
    """

    fingerprint: str
    data_sha256: str
    split: str
    objects: int
    views_per_object: int
    latents: int
    dimension: int

    @property
    def views(self) -> int:
        return self.objects * self.views_per_object


class Chunk(NamedTuple):
    """Consecutive objects of a split, from ``start`` to before ``stop``, whose features are saved together.

    Attributes:
        number: Number among the chunks of the split, from 0.
        chunks: Number of chunks of the split.
    """

    number: int
    chunks: int
    start: int
    stop: int


@dataclass(frozen=True)
class FeatureStore:
    """The folder with the features of one encoder on one split, which ``prepare`` makes."""

    folder: Path
    source: FeatureSource

    @property
    def features_path(self) -> Path:
        """Path of the float16 array (views, dimension)."""
        return self.folder / "features.npy"

    def chunks(self) -> list[Chunk]:
        """Lists the chunks of the split, which hold the objects that ``ViewStream`` gives to each share."""
        objects = self.source.objects
        count = max(1, min(objects, -(-self.source.views // CHUNK_VIEWS)))
        return [
            Chunk(number, count, objects * number // count, objects * (number + 1) // count)
            for number in range(count)
        ]

    def prepare(self) -> None:
        """Makes the folder, and deletes features in it that are of another source or cut short."""
        if self._has_whole_arrays():
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "chunks").mkdir(parents=True)
        with self.features_path.open("wb") as stream:
            shape = (self.source.views, self.source.dimension)
            header = {"descr": "<f2", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(stream, header)
            stream.truncate(stream.tell() + 2 * self.source.views * self.source.dimension)
        write_text(self.folder / "meta.json", json.dumps(self._expected_meta(), indent=1) + "\n")

    def is_complete(self) -> bool:
        """Returns whether all features of the source are stored."""
        return self._has_whole_arrays() and (self.folder / "objects.json").is_file()

    def has(self, chunk: Chunk) -> bool:
        return self._chunk_path(chunk).is_file()

    def put(
        self,
        chunk: Chunk,
        representations: np.ndarray,
        latents: np.ndarray,
        labels: np.ndarray,
        names: list[tuple[str, str]],
    ) -> None:
        """Saves a chunk: first its features, and once they are on disk, everything else.

        Arrays are representations (views, dimension) float16, latents (views, number of latents) float64 and labels
        (views,) int64; ``names`` has an item for each object.
        """
        with self.features_path.open("r+b") as stream:
            np.lib.format.read_magic(stream)
            np.lib.format.read_array_header_1_0(stream)
            width = 2 * self.source.dimension
            stream.seek(stream.tell() + chunk.start * self.source.views_per_object * width)
            stream.write(np.ascontiguousarray(representations).data)
            stream.flush()
            os.fsync(stream.fileno())
        with atomic_write(self._chunk_path(chunk)) as stream:
            text = np.frombuffer(json.dumps(names).encode(), dtype=np.uint8)
            np.savez(stream, latents=latents, labels=labels, names=text)

    def finish(self) -> None:
        """Joins the latents, labels and names of all chunks, once all chunks are stored."""
        latents, labels, names = [], [], []
        for chunk in self.chunks():
            with np.load(self._chunk_path(chunk), allow_pickle=False) as arrays:
                latents.append(arrays["latents"])
                labels.append(arrays["labels"])
                names += json.loads(arrays["names"].tobytes())
        for name, parts in (("latents", latents), ("labels", labels)):
            with atomic_write(self.folder / f"{name}.npy") as stream:
                np.save(stream, np.concatenate(parts))
        write_text(self.folder / "objects.json", json.dumps(names) + "\n")
        shutil.rmtree(self.folder / "chunks")

    def read(self) -> Features:
        """Reads the features; representations are mapped from their file.

        Raises:
            IebenchError: A file cannot be read.
        """
        views = self.source.views_per_object
        try:
            # copy on write: PyTorch wants memory that it could write to
            features = np.load(self.features_path, mmap_mode="c", allow_pickle=False)
            latents = np.load(self.folder / "latents.npy", allow_pickle=False)
            labels = np.load(self.folder / "labels.npy", allow_pickle=False)
            names = json.loads((self.folder / "objects.json").read_text(encoding="utf-8"))
            return Features(
                torch.from_numpy(features).unflatten(0, (-1, views)),
                torch.from_numpy(latents).unflatten(0, (-1, views)),
                torch.from_numpy(labels)[::views],
                [(synset, object_id) for synset, object_id in names],
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise IebenchError(
                f"the features in {self.folder} cannot be read ({error}); remove the folder and run the same "
                "command again"
            ) from None

    def _chunk_path(self, chunk: Chunk) -> Path:
        return self.folder / "chunks" / f"{chunk.number:06d}-of-{chunk.chunks:06d}.npz"

    def _expected_meta(self) -> dict[str, object]:
        return {"format": _FORMAT, **asdict(self.source)}

    def _has_whole_arrays(self) -> bool:
        """Returns whether the arrays are of the source and can be mapped, which fails if a file is cut short."""
        names = ["features.npy"]
        if (self.folder / "objects.json").is_file():
            names += ["latents.npy", "labels.npy"]
        try:
            if json.loads((self.folder / "meta.json").read_text(encoding="utf-8")) != self._expected_meta():
                return False
            shapes = [np.load(self.folder / name, mmap_mode="r", allow_pickle=False).shape for name in names]
        except (OSError, ValueError):
            return False
        return shapes[0] == (self.source.views, self.source.dimension) and all(
            shape[0] == self.source.views for shape in shapes
        )


def extract_features(
    encoders: Sequence[tuple[Encoder, FeatureStore]],
    data: Path,
    index: DatasetIndex,
    split: str,
    batch_size: int,
    processes: Processes,
    workers: int = 0,
    shown: ShownViews | None = None,
) -> None:
    """Runs encoders over the views of a split in one pass over its shards.

    Chunks that a store has already are not computed again. Processes share the chunks and must all see the stores. With
    ``shown``, its views and conditions are read instead of every view as it is; the stores' sources count their rows.

    Raises:
        IebenchError: A shard cannot be read, its objects do not all have the same views, or an encoder fails.
        UsageError: The folder of a store is not on a file system that all processes share.
    """
    with processes.fail_together():
        if processes.is_first:
            for _, store in encoders:
                store.prepare()
    with processes.fail_together():
        for _, store in encoders:
            if not store.features_path.is_file():
                raise UsageError(
                    f"process {processes.rank} does not see {store.folder}, which rank 0 made; nodes that evaluate "
                    "together need one file system: choose --out on it"
                )
    with processes.fail_together():
        waiting = [
            (chunk, [pair for pair in encoders if not (pair[1].is_complete() or pair[1].has(chunk))])
            for chunk in encoders[0][1].chunks()
        ]
        mine = [(chunk, pairs) for chunk, pairs in waiting if pairs][processes.rank :: processes.count]
        if shown and any(condition != CLEAN for condition in shown.conditions):
            load_corrupt()
        per_object = shown.rows_per_object if shown else index.views_per_object
        views = sum(chunk.stop - chunk.start for chunk, _ in mine) * per_object
        bar = tqdm(
            total=views,
            unit="img",
            desc=f"features of {split}" + (" in other conditions" if shown else ""),
            file=sys.stderr,
            leave=False,
            disable=not processes.is_first or not views,
        )
        with bar:
            for chunk, pairs in mine:
                share = (chunk.number, chunk.chunks)
                stream = (
                    ShownStream(data, index, split, batch_size, *share, shown)
                    if shown
                    else ViewStream(data, index, split, batch_size, *share)
                )
                _extract_chunk(pairs, data, stream, chunk, processes.device, workers, bar)
    with processes.fail_together():
        if processes.is_first:
            for _, store in encoders:
                if not store.is_complete():
                    store.finish()


@torch.inference_mode()
def _extract_chunk(
    encoders: Sequence[tuple[Encoder, FeatureStore]],
    data: Path,
    stream: ViewStream,
    chunk: Chunk,
    device: torch.device,
    workers: int,
    bar: tqdm,
) -> None:
    """Computes and saves one chunk for the encoders that lack it."""
    source = encoders[0][1].source
    count = source.views_per_object
    size, first = (chunk.stop - chunk.start) * count, chunk.start * count
    representations = [np.empty((size, store.source.dimension), np.float16) for _, store in encoders]
    latents, labels = np.empty((size, source.latents)), np.empty(size, np.int64)
    names: list[tuple[str, str]] = [("", "")] * size
    seen = 0
    with view_batches(stream, workers, device.type == "cuda") as batches:
        for batch in batches:
            rows = slice(batch.start - first, batch.start - first + len(batch.views))
            if rows.stop > size:
                break
            images = batch.views.to(device, non_blocking=True)
            for (encoder, _), kept in zip(encoders, representations, strict=True):
                kept[rows] = _half(encoder(images), encoder.name)
            latents[rows], labels[rows] = batch.latents.numpy(), batch.labels.numpy()
            names[rows] = batch.names
            seen += len(batch.views)
            bar.update(len(batch.views))
    if seen != size or any(len(set(names[start : start + count])) > 1 for start in range(0, size, count)):
        raise IebenchError(
            f"an object in {data} lacks some of its {count} views; run `iebench verify {data}`"
        )
    for (_, store), kept in zip(encoders, representations, strict=True):
        store.put(chunk, kept, latents, labels, names[::count])


def _half(vectors: Tensor, name: str) -> np.ndarray:
    """Converts vectors to float16.

    Raises:
        IebenchError: A number is too large.
    """
    if vectors.abs().max() > _LARGEST:
        raise IebenchError(
            f"encoder {name} gives numbers beyond {_LARGEST:.0f}, which float16 cannot hold; scale its output down"
        )
    return vectors.half().cpu().numpy()
