"""Measures the statistics of parameters on a dataset, by which they are standardized for predictors."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from iebench.augmentations.pipeline import Augmentation
from shards.images import jpeg_size
from shards.lanes import segments_between
from shards.reader import read_objects
from shards.schema import DatasetIndex

MEASURED_OBJECTS = 512
"""Largest number of objects whose draws are measured, spread over the training split."""
MEASURED_EPOCHS = 32
_RUNS = 32


def measure_parameters(
    augmentation: Augmentation, data: Path, index: DatasetIndex
) -> tuple[np.ndarray, np.ndarray]:
    """Measures mean and standard deviation (18,) float64 of the parameters that a training's first epochs draw.

    Pictures are not decoded.

    Raises:
        IebenchError: A shard cannot be read.
    """
    rows = []
    for name, (width, height) in _sizes(data, index):
        for epoch in range(MEASURED_EPOCHS):
            drawn = augmentation.parameters(*name, epoch, height, width)
            rows += [row for view, row in zip(augmentation.views, drawn, strict=True) if view]
    values = np.array(rows)
    return values.mean(axis=0), values.std(axis=0)


def _sizes(data: Path, index: DatasetIndex) -> Iterator[tuple[tuple[str, str], tuple[int, int]]]:
    """Yields the name of objects spread over the split, with the width and height of their first view."""
    split = index.split("train")
    few = split.objects <= MEASURED_OBJECTS
    starts = [0] if few else [number * split.objects // _RUNS for number in range(_RUNS)]
    for start in starts:
        stop = split.objects if few else start + MEASURED_OBJECTS // _RUNS
        for segment in segments_between(split.shards, start, stop):
            for views in read_objects(data, index, segment.shard, segment.start, segment.stop):
                metadata = views[0].metadata
                yield (metadata.synset, metadata.object), jpeg_size(views[0].jpeg, metadata.key)
