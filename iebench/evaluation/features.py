"""The frozen pass: every view through the backbone once, for all probes and retrieval metrics."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from tqdm import tqdm

from iebench.training.model import Model
from iebench.training.processes import Processes, as_bytes, as_text
from shards.errors import IebenchError
from shards.loader import view_batches
from shards.schema import DatasetIndex
from shards.stream import ViewStream


@dataclass(frozen=True)
class Features:
    """The frozen representations of one split, object by object.

    Attributes:
        representations: (objects, views, dimension) float32.
        latents: (objects, views, number of latents) float64.
        labels: (objects,) int64.
        names: (synset, object id) of each object.
    """

    representations: Tensor
    latents: Tensor
    labels: Tensor
    names: list[tuple[str, str]]

    def part(self, start: int, stop: int) -> "Features":
        """The same with columns ``start`` to ``stop`` of the representations."""
        return Features(self.representations[..., start:stop], self.latents, self.labels, self.names)


class Share(NamedTuple):
    """What one process found of the views of a split.

    Attributes:
        ordinals: (views,) int64, the places of its views in the split's order.
        representations: (views, dimension) float32.
        latents: (views, number of latents) float64.
        labels: (views,) int64.
        names: (length,) uint8: JSON of runs of views of one object, as [synset, object id, number of views].
    """

    ordinals: Tensor
    representations: Tensor
    latents: Tensor
    labels: Tensor
    names: Tensor


def extract_features(
    model: Model,
    data: Path,
    index: DatasetIndex,
    split: str,
    batch_size: int,
    device: torch.device,
    processes: Processes | None = None,
    workers: int = 0,
) -> Features | None:
    """Runs the backbone, in evaluation mode, over every view of a split.

    Args:
        model: on ``device``.
        data: the dataset's folder.
        index: its index.
        split: ``train`` or ``val``.
        batch_size: views per step of each process.
        device: of this process.
        processes: that share the work out, and must all ask for it; without, this one alone.
        workers: decoding processes beside each; 0: none.

    Returns:
        In rank 0 the features of all views, elsewhere None.

    Raises:
        IebenchError: a shard cannot be read, or its objects do not all have the same views.
    """
    if processes is None or processes.count == 1:
        views = ViewStream(data, index, split, batch_size)
        return assembled([extract_share(model, views, device, workers)], data, index, split)
    with processes.fail_together():
        views = ViewStream(data, index, split, batch_size, processes.rank, processes.count)
        share = extract_share(model, views, device, workers)
    shares = [Share(*parts) for parts in zip(*map(processes.collect, share), strict=True)]
    with processes.fail_together():
        features = assembled(shares, data, index, split) if processes.first else None
    return features


@torch.inference_mode()
def extract_share(model: Model, views: ViewStream, device: torch.device, workers: int) -> Share:
    """Runs the backbone over the views of one process; all else as ``extract_features``."""
    model.eval()
    dimension, latents = model.method.sizes.representation, len(model.latent_names)
    ordinals = [torch.empty(0, dtype=torch.int64)]
    representations = [torch.empty(0, dimension)]
    known = [torch.empty(0, latents, dtype=torch.float64)]
    labels = [torch.empty(0, dtype=torch.int64)]
    names: list[tuple[str, str]] = []
    bar = tqdm(
        total=views.count,
        unit="img",
        desc=f"features of {views.split}",
        file=sys.stderr,
        leave=False,
        disable=views.rank > 0,
    )
    with bar, view_batches(views, workers, device.type == "cuda") as batches:
        for batch in batches:
            count = len(batch.views)
            ordinals.append(torch.arange(batch.start, batch.start + count))
            representations.append(model.represent(batch.views.to(device, non_blocking=True)).float().cpu())
            known.append(batch.latents)
            labels.append(batch.labels)
            names += batch.names
            bar.update(count)
    runs = [[*name, len(list(run))] for name, run in groupby(names)]
    return Share(
        torch.cat(ordinals),
        torch.cat(representations),
        torch.cat(known),
        torch.cat(labels),
        as_bytes(json.dumps(runs)),
    )


def assembled(shares: Sequence[Share], data: Path, index: DatasetIndex, split: str) -> Features:
    """The features of a split in its order, from the shares of all processes.

    Raises:
        IebenchError: a view is missing or there twice, or the objects do not all have the same views.
    """
    order = torch.cat([share.ordinals for share in shares]).argsort()
    ordinals, latents, labels = (
        torch.cat([share[column] for share in shares])[order] for column in (0, 2, 3)
    )
    names = [
        (synset, object_id)
        for share in shares
        for synset, object_id, views in json.loads(as_text(share.names))
        for _ in range(views)
    ]
    names = [names[place] for place in order.tolist()]
    count, total = index.views_per_object, index.split(split).views
    is_whole = torch.equal(ordinals, torch.arange(total)) and not total % count
    if not is_whole or any(len(set(names[start : start + count])) > 1 for start in range(0, total, count)):
        raise IebenchError(
            f"an object in {data} lacks some of its {count} views; run `iebench verify {data}`"
        )
    representations = torch.empty(total, shares[0].representations.shape[1])
    for share in shares:
        representations[share.ordinals] = share.representations
    return Features(
        representations.unflatten(0, (-1, count)),
        latents.unflatten(0, (-1, count)),
        labels[::count],
        names[::count],
    )
