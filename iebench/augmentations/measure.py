"""Measures the statistics of parameters on a dataset, by which they are standardized for predictors."""

from pathlib import Path

import numpy as np

from iebench.augmentations.pipeline import Augmentation
from shards.images import jpeg_size
from shards.schema import DatasetIndex
from shards.spread import read_spread_objects

MEASURED_OBJECTS = 512
"""Largest number of objects whose draws are measured, spread over the training split."""
MEASURED_EPOCHS = 32
_RUNS = 32  # places of the split that objects are taken from


def measure_parameters(
    augmentation: Augmentation, data: Path, index: DatasetIndex
) -> tuple[np.ndarray, np.ndarray]:
    """Measures mean and standard deviation (18,) float64 of the parameters that a training's first epochs draw.

    Pictures are not decoded.

    Raises:
        IebenchError: A shard cannot be read.
    """
    rows = []
    for views in read_spread_objects(data, index, "train", MEASURED_OBJECTS, _RUNS):
        metadata = views[0].metadata
        width, height = jpeg_size(views[0].jpeg, metadata.key)
        for epoch in range(MEASURED_EPOCHS):
            drawn = augmentation.parameters(metadata.synset, metadata.object, epoch, height, width)
            rows += [row for view, row in zip(augmentation.views, drawn, strict=True) if view]
    values = np.array(rows)
    return values.mean(axis=0), values.std(axis=0)
