"""Steers one encoding to many views, and encodes those views as well, with the time of each."""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.backbones.encoder import Encoder
from iebench.evaluation.corruptions import CLEAN, Condition
from iebench.evaluation.more_views import OtherViewsSource, ViewWithOthers
from iebench.evaluation.splits import Split
from shards.reader import View
from shards.spread import read_spread_objects

OBJECTS_AT_ONCE = 32
_DECAY = 1e-3
_ITERATIONS = 200
_RUNS = 64  # places of the split that objects are taken from

Classify = Callable[[Tensor], Tensor]
"""A function from embeddings (rows, dimension) to probabilities (rows, classes)."""


def objects_of(split: Split, most: int, views: int | None = None) -> list[list[View]]:
    """Reads the stored views of at most ``most`` objects spread over a split; images are not decoded.

    Args:
        split: Split to read.
        most: Largest number of objects.
        views: Number of views of each object; None reads all.

    Raises:
        IebenchError: A shard cannot be read.
    """
    objects = read_spread_objects(split.folder, split.index, split.name, most, _RUNS)
    return [stored[:views] for stored in objects]


def linear_classifier(embeddings: Tensor, labels: Tensor, classes: int) -> Classify:
    """Fits a multinomial logistic regression on standardized embeddings (objects, dimension), by L-BFGS from zero."""
    mean, std = embeddings.mean(dim=0), embeddings.std(dim=0).clamp(min=1e-6)
    rows, labels = (embeddings - mean) / std, labels.to(embeddings.device)
    weights = torch.zeros(classes, rows.shape[1], device=rows.device, requires_grad=True)
    biases = torch.zeros(classes, device=rows.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights, biases], max_iter=_ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(rows @ weights.T + biases, labels) + _DECAY * weights.pow(2).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    fitted, offsets = weights.detach(), biases.detach()

    def classify(others: Tensor) -> Tensor:
        return (((others - mean) / std) @ fitted.T + offsets).softmax(dim=1)

    return classify


class SteeredPass:
    """Encodes objects once and steers the encodings, and encodes further views one by one.

    Attributes:
        classify: Classifier, which the caller sets before ``run``.
    """

    classify: Classify

    def __init__(self, encoder: Encoder, more: OtherViewsSource, device: torch.device) -> None:
        self._encoder, self._more, self._device = encoder, more, device
        self._is_warm = False

    @torch.no_grad()
    def embed_first(self, objects: Sequence[Sequence[View]]) -> Tensor:
        """Returns the embeddings (objects, dimension) of the first view of each object."""
        parts = []
        for chunk in _chunks(objects):
            images = np.stack([views[0].pixels() for views in chunk])
            parts.append(self._embed(torch.from_numpy(images).permute(0, 3, 1, 2)))
        return torch.cat(parts)

    @torch.no_grad()
    def run(
        self, objects: Sequence[Sequence[View]], count: int, condition: Condition = CLEAN
    ) -> dict[str, np.ndarray]:
        """Classifies each object by one encoding, by many and by steering, and measures the seconds of each.

        Args:
            objects: Lists of the stored views of each object.
            count: Number of further views.
            condition: Condition in which stored views are shown.

        Returns:
            ``single`` (objects, classes) of the first view; ``images`` (objects, count, classes) of further views;
            with a predictor ``steered``, the same of embeddings that are steered to them; and for each of these
            ``*_seconds`` (objects, 1) or (objects, count), an object's share of the time of encoding or of a step.
        """
        found: dict[str, list[np.ndarray]] = {}
        for many in self._drawn(objects, count, condition):
            if not self._is_warm:  # what is done once, such as choosing kernels, is no part of the times
                self._classified(many)
                self._is_warm = True
            for name, values in self._classified(many).items():
                found.setdefault(name, []).append(values)
        return {name: np.concatenate(parts) for name, parts in found.items()}

    @torch.no_grad()
    def steps(self, objects: Sequence[Sequence[View]], count: int) -> tuple[Tensor, Tensor, Tensor]:
        """Returns embeddings (objects, count, dimension) of the first view, of further views, and of their predictions."""
        parts = []
        for many in self._drawn(objects, count, CLEAN):
            source = self._embed(torch.stack([one.source for one in many]))
            others = torch.stack([one.others for one in many])
            targets = self._embed(others.flatten(0, 1)).unflatten(0, others.shape[:2])
            reached = torch.stack([self._steer(source, many, number) for number in range(count)], dim=1)
            parts.append((source[:, None].expand_as(targets), targets, reached))
        source, targets, reached = (torch.cat(rows).cpu() for rows in zip(*parts, strict=True))
        return source, targets, reached

    def _drawn(
        self, objects: Sequence[Sequence[View]], count: int, condition: Condition
    ) -> Iterator[list[ViewWithOthers]]:
        for chunk in _chunks(objects):
            yield [self._more.draw(views, count, condition) for views in chunk]

    def _classified(self, many: Sequence[ViewWithOthers]) -> dict[str, np.ndarray]:
        images = torch.stack([one.source for one in many]).to(self._device)
        others = torch.stack([one.others for one in many], dim=1).to(self._device)
        source, seconds = self._timed(lambda: self._embed(images))
        share = len(many)
        found = {
            "single": self.classify(source).cpu().numpy(),
            "single_seconds": np.full((share, 1), seconds / share),
        }
        ways: dict[str, Callable[[int], Tensor]] = {"images": lambda number: self._embed(others[number])}
        if self._encoder.predictor is not None:
            ways["steered"] = lambda number: self._steer(source, many, number)
        for kind, way in ways.items():
            said, spent = [], []
            for number in range(len(others)):
                embeddings, seconds = self._timed(lambda way=way, number=number: way(number))  # type: ignore[misc]
                said.append(self.classify(embeddings).cpu().numpy())
                spent.append(seconds / share)
            found[kind] = np.stack(said, axis=1)
            found[f"{kind}_seconds"] = np.tile(spent, (share, 1))
        return found

    def _embed(self, images: Tensor) -> Tensor:
        representations = self._encoder(images.to(self._device))
        predictor = self._encoder.predictor
        return representations if predictor is None else predictor.embed(representations)

    def _steer(self, source: Tensor, many: Sequence[ViewWithOthers], number: int) -> Tensor:
        """Steers the embeddings of the first views to further view ``number`` of each object."""
        predictor = self._encoder.predictor
        assert predictor is not None
        latents = torch.stack([one.latents[[0, 1 + number]] for one in many]).to(self._device)
        return predictor.predict(source, predictor.transformation(latents[:, 0], latents[:, 1]))

    def _timed(self, work: Callable[[], Tensor]) -> tuple[Tensor, float]:
        self._wait()
        start = time.perf_counter()
        result = work()
        self._wait()
        return result, time.perf_counter() - start

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def _chunks(objects: Sequence[Sequence[View]]) -> Iterator[Sequence[Sequence[View]]]:
    for start in range(0, len(objects), OBJECTS_AT_ONCE):
        yield objects[start : start + OBJECTS_AT_ONCE]
