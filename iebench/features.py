"""The frozen pass: every view through the backbone once, for all probes and retrieval metrics."""

import sys
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from iebench.model import Model
from shards.errors import IebenchError
from shards.reader import View, read_views
from shards.schema import DatasetIndex
from shards.stream import view_tensor


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


@torch.inference_mode()
def extract_features(
    model: Model, data: Path, index: DatasetIndex, split: str, batch_size: int, device: torch.device
) -> Features:
    """Runs the backbone, in evaluation mode, over every view of a split.

    Raises:
        IebenchError: a shard cannot be read, or its objects do not all have the same views.
    """
    model.eval()
    total = index.split(split).views
    views = read_views(data, index, split)
    representations, latents, labels, names = [], [], [], []
    with tqdm(total=total, unit="img", desc=f"features of {split}", file=sys.stderr, leave=False) as bar:
        while batch := list(islice(views, batch_size)):
            representations.append(model.represent(view_tensor(batch).to(device)).float().cpu())
            latents += [view.metadata.latents for view in batch]
            labels += [view.metadata.label for view in batch]
            names += [_name(view) for view in batch]
            bar.update(len(batch))
    count = index.views_per_object
    if len(names) % count or any(
        len(set(names[start : start + count])) > 1 for start in range(0, len(names), count)
    ):
        raise IebenchError(
            f"an object in {data} lacks some of its {count} views; run `iebench verify {data}`"
        )
    return Features(
        torch.cat(representations).unflatten(0, (-1, count)),
        torch.tensor(latents, dtype=torch.float64).unflatten(0, (-1, count)),
        torch.tensor(labels[::count]),
        names[::count],
    )


def _name(view: View) -> tuple[str, str]:
    return view.metadata.synset, view.metadata.object
