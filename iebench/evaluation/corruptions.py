"""Corrupted views: 15 common corruptions at 5 severities, each a function of the view's name alone.

The corruptions are those of ImageNet-C (Hendrycks and Dietterich, arXiv 1903.12261) in the package
``imagecorruptions-imaug``, which takes images of any size from 32 px on. They act on images as a dataset stores them,
before an encoder resizes them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shards.batches import ViewBatch, allocate_images, batch_of_views
from shards.errors import UsageError
from shards.reader import View
from shards.schema import DatasetIndex
from shards.stream import ViewStream

CORRUPTIONS = (
    "gaussian_noise",
    "shot_noise",
    "impulse_noise",
    "defocus_blur",
    "glass_blur",
    "motion_blur",
    "zoom_blur",
    "snow",
    "frost",
    "fog",
    "brightness",
    "contrast",
    "elastic_transform",
    "pixelate",
    "jpeg_compression",
)
"""The common corruptions in the order of the paper: noise, blur, weather, digital."""
SEVERITIES = (1, 2, 3, 4, 5)
SMALLEST = 32
"""Height and width in pixels of the smallest images that can be corrupted."""
PACKAGE = "imagecorruptions-imaug"
_SEEDED_BY_ARGUMENT = ("impulse_noise", "glass_blur")  # they do not draw from NumPy's global generator


class Condition(NamedTuple):
    """A corruption with its severity; severity 0 shows the view as it is."""

    corruption: str
    severity: int


CLEAN = Condition("clean", 0)
CORRUPTED = tuple(Condition(name, severity) for name in CORRUPTIONS for severity in SEVERITIES)


@dataclass(frozen=True)
class ShownViews:
    """Says how many views of each object are shown, and in which conditions each of them is."""

    views: int
    conditions: tuple[Condition, ...]

    @property
    def rows_per_object(self) -> int:
        return self.views * len(self.conditions)

    def __str__(self) -> str:
        if self.conditions == (CLEAN,):
            return f"{self.views} views of each object"
        return f"{self.views} views of each object, corrupted by {PACKAGE} {version(PACKAGE)}"


@lru_cache(maxsize=1)
def load_corrupt() -> Any:
    """Imports the function that corrupts an image from an optional package.

    The package's one compiled corruption is compiled here, once, so that loader workers forked later have it. OpenCV
    gets no threads of its own, because threads do not survive a fork.

    Raises:
        UsageError: The package is not installed, or lacks a library of the system.
    """
    try:
        import cv2
        from imagecorruptions import corrupt
    except ImportError as error:
        raise UsageError(
            f"corruptions need a package that cannot be imported ({error}); pip install 'iebench[robustness]'"
        ) from None
    cv2.setNumThreads(0)
    corrupt(np.zeros((SMALLEST, SMALLEST, 3), np.uint8), 1, "glass_blur", seed=0)
    return corrupt


def corrupted_image(image: np.ndarray, condition: Condition, name: str) -> np.ndarray:
    """Shows an image (height, width, 3) uint8, of at least 32 px each way, in a condition.

    The result has the same shape and type. Randomness is seeded by the image's name and the condition.

    Raises:
        UsageError: The package is not installed.
    """
    if condition == CLEAN:
        return image
    corrupt = load_corrupt()
    digest = hashlib.sha256(f"{name}/{condition.corruption}/{condition.severity}".encode()).digest()
    seed = int.from_bytes(digest[:4], "little")
    settings = {"seed": seed} if condition.corruption in _SEEDED_BY_ARGUMENT else {}
    kept = np.random.get_state()
    np.random.seed(seed)
    try:
        return corrupt(image, condition.severity, condition.corruption, **settings)
    finally:
        np.random.set_state(kept)


def chosen_views(synset: str, object_id: str, views: int, count: int) -> list[int]:
    """Chooses ``count`` of an object's views by its name, or all views if it has no more.

    Returns:
        Numbers of the views, ascending.
    """
    digest = hashlib.sha256(f"{synset}/{object_id}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(int.from_bytes(digest[:8], "little")))
    return sorted(generator.permutation(views)[:count].tolist())


class ShownStream(ViewStream):
    """Reads a few views of each object of a split, each in several conditions, one after the other.

    The rows of an object stand together: its first chosen view in each condition, then the next. Views that are not
    chosen are not decoded. All arguments but ``shown`` are those of ``ViewStream``.
    """

    def __init__(
        self,
        folder: Path,
        index: DatasetIndex,
        split: str,
        batch_size: int,
        rank: int,
        ranks: int,
        shown: ShownViews,
    ) -> None:
        super().__init__(folder, index, split, batch_size, rank, ranks)
        self._shown = shown

    def batches(self, views: Iterator[View], first: int) -> Iterator[ViewBatch]:
        """Yields batches of consecutive rows; a batch's ``start`` counts the rows of the objects before it."""
        start = first * self._shown.rows_per_object
        rows = ((view, condition) for view in self._chosen(views) for condition in self._shown.conditions)
        while batch := list(islice(rows, self._batch_size)):
            size = self._index.image_size
            pixels, block = allocate_images((len(batch), size, size, 3), self.blocks)
            _draw(batch, pixels.numpy())
            yield batch_of_views([view for view, _ in batch], pixels, start, block)
            start += len(batch)

    def _chosen(self, views: Iterator[View]) -> Iterator[View]:
        count = self._index.views_per_object
        while stored := list(islice(views, count)):
            metadata = stored[0].metadata
            for number in chosen_views(metadata.synset, metadata.object, count, self._shown.views):
                yield stored[number]


def _draw(rows: Sequence[tuple[View, Condition]], pixels: np.ndarray) -> None:
    """Writes each view in its condition into its row of ``pixels`` (rows, size, size, 3)."""
    decoded: tuple[str, np.ndarray] | None = None
    for (view, condition), image in zip(rows, pixels, strict=True):
        key = view.metadata.key
        if decoded is None or decoded[0] != key:
            decoded = key, view.pixels()
        image[:] = corrupted_image(decoded[1], condition, key)
