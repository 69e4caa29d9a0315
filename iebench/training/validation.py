"""Scores on validation objects while a training runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from iebench.evaluation.knn import nearest_classes
from iebench.evaluation.scores import batch_r2
from iebench.training.model import Model
from iebench.training.precision import Precision
from shards.batches import ViewBatch, collate_views
from shards.schema import DatasetIndex
from shards.spread import read_spread_objects

VALIDATED_OBJECTS = 512
"""Largest number of objects of each split that are used, with a pair of views of each."""
_RUNS = 64  # places of the split that objects are taken from
_BATCH = 128


class Validation:
    """Scores a network by k-NN and by its online heads on validation objects.

    The objects are read when first needed and are the same each time. The training is not affected: the network runs in
    evaluation mode, draws no random numbers, and returns to the mode that it was in.
    """

    def __init__(self, data: Path, index: DatasetIndex, precision: Precision) -> None:
        self._data = data
        self._index = index
        self._precision = precision
        self._pairs: dict[str, ViewBatch] = {}

    def scores(self, model: Model) -> dict[str, float]:
        """Computes ``val_knn_top1``, ``val_online_top1`` and, where views have a rotation, ``val_online_rotation_r2``.

        k-NN searches views of training objects. No other process is involved.
        """
        for split in ("train", "val"):
            if split not in self._pairs:
                self._pairs[split] = read_validation_pairs(self._data, self._index, split)
        train, val = self._pairs["train"], self._pairs["val"]
        with _frozen(model):
            gallery, queries = (self._represent(model, pairs) for pairs in (train, val))
            found = nearest_classes(
                gallery, train.labels, queries, len(self._index.classes), self._precision.device
            )
            labels = val.labels.to(queries.device)
            guessed = model.online.classifiers["representation"](queries).argmax(dim=1)
            scores = {
                "val_knn_top1": _share(found[:, 0].to(queries.device) == labels),
                "val_online_top1": _share(guessed == labels),
            }
            if model.has_rotation:
                latents = val.latents.to(queries.device)
                rotation = model.transformation(latents[::2], latents[1::2], ["rotation"])
                pairs = torch.cat((queries[::2], queries[1::2]), dim=1)
                regressed = model.online.regressors["representation"](pairs)
                scores["val_online_rotation_r2"] = batch_r2(regressed, rotation).item()
        return scores

    def _represent(self, model: Model, pairs: ViewBatch) -> Tensor:
        parts = []
        for views in pairs.views.split(_BATCH):
            with self._precision.autocast():
                parts.append(model.represent(views.to(self._precision.device)).float())
        return torch.cat(parts)


def read_validation_pairs(data: Path, index: DatasetIndex, split: str) -> ViewBatch:
    """Reads the first two views of objects from all over a split, both views of an object one after the other.

    Raises:
        IebenchError: A shard cannot be read.
    """
    objects = read_spread_objects(data, index, split, VALIDATED_OBJECTS, _RUNS)
    return collate_views([view for views in objects for view in views[:2]], index.image_size, 0)


def _share(is_right: Tensor) -> float:
    return is_right.float().mean().item()


@contextmanager
def _frozen(model: Model) -> Iterator[None]:
    """Runs a block in evaluation mode, without gradients and without compiling, which would take minutes."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for module, mode in modes:
            module.training = mode
