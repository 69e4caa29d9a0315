"""EquiMod's linear evaluation: fits a linear layer on the frozen network, which sees new crops of each picture each epoch.

The probes of the standard suite are fitted to features that were computed once. Here the network encodes every training
picture once an epoch, 90 times as published (arXiv 2211.01244, its code): SGD with Nesterov momentum 0.9 and a learning
rate that falls from 0.2 to 1e-4 along a cosine, batches of 256, crops of 8 to 100 % of the area, flips. What that costs
is told as the number of images that were encoded, and as time.
"""

import math
import sys
import time
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from iebench.augmentations.config import AugmentationConfig
from iebench.augmentations.pipeline import Augmentation
from iebench.backbones.encoder import ALL, Encoder
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.probes import TOP
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import LeftOut
from iebench.evaluation.scoring import Scores, score_classes
from iebench.evaluation.splits import Splits
from shards.loader import draw_batches, loader_workers, view_batches
from shards.stream import DrawSettings, DrawStream, ViewStream

LINEAR = "linear_evaluation"
"""The task of the suite ``linear``."""

LEARNING_RATE, FINAL_RATE, MOMENTUM = 0.2, 1e-4, 0.9
BATCH = 256
CROPS = AugmentationConfig(crop_scale=[0.08, 1.0], jitter=0.0, grayscale=0.0)


def linear_left_out(splits: Splits) -> list[LeftOut]:
    """Lists the task with a reason if the datasets do not allow it."""
    reason = splits.why_not_classified()
    return [LeftOut(LINEAR, reason)] if reason else []


class LinearEvaluation:
    """Fits the linear layer on a frozen network that is on the device, and measures its accuracy and cost.

    Raises:
        IebenchError: A shard cannot be read.
    """

    def __init__(
        self, encoder: Encoder, splits: Splits, config: EvaluationConfig, device: torch.device
    ) -> None:
        self._encoder, self._splits, self._config, self._device = encoder, splits, config, device
        self._workers = min(1, loader_workers(config.workers))
        self._encoded = 0

    def measure(self, task: str) -> dict[str, Scores]:
        """Measures the accuracy on validation views, and the encoded images and seconds per validation object."""
        start = time.perf_counter()
        layer, train_labels = self._fit()
        ranked, labels = self._test(layer)
        seconds = time.perf_counter() - start
        scores = score_classes(ranked, train_labels, labels, self._splits.classes)
        for name, total in (("images_encoded", self._encoded), ("seconds", seconds)):
            scores[name] = PerObject.mean_of(np.full((len(labels), 1), total / len(labels)))
        return {ALL: scores}

    def _fit(self) -> tuple[torch.nn.Linear, Tensor]:
        fit = self._splits.fit
        assert fit is not None
        objects = fit.index.split("train").objects
        batch = min(BATCH, objects)
        maker = Augmentation(CROPS, 0, (1,), fit.index.image_size)
        settings = DrawSettings(batch, draws_per_object=1, lanes=1, views=1, maker=maker)
        stream = DrawStream(fit.folder, fit.index, "train", settings)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, width = self._encoder.parts[ALL]
            layer = torch.nn.Linear(width, self._splits.classes).to(self._device)
        optimizer = torch.optim.SGD(layer.parameters(), LEARNING_RATE, MOMENTUM, nesterov=True)
        steps = max(1, self._config.linear_evaluation_epochs * objects // batch)
        seen: list[Tensor] = []
        with draw_batches(stream, self._workers) as batches:
            bar = tqdm(islice(batches, steps), "linear evaluation", steps, leave=False, file=sys.stderr)
            for step, parts in enumerate(bar):
                half_cosine = (1 + math.cos(math.pi * step / steps)) / 2
                optimizer.param_groups[0]["lr"] = FINAL_RATE + (LEARNING_RATE - FINAL_RATE) * half_cosine
                labels = torch.cat([part.labels for part in parts])
                images = torch.cat([part.views[0] for part in parts]).to(self._device)
                self._encoded += len(images)
                loss = F.cross_entropy(layer(self._encoder(images)), labels.to(self._device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                if len(seen) * batch < objects:
                    seen.append(labels.clone())
        return layer, torch.cat(seen)

    @torch.no_grad()
    def _test(self, layer: torch.nn.Linear) -> tuple[Tensor, Tensor]:
        """Returns classes (objects, views, 5), best first, and labels (objects,) as training numbers them."""
        test = self._splits.test
        stream = ViewStream(test.folder, test.index, test.name, self._config.feature_batch_size)
        first = min(TOP, self._splits.classes)
        ranked, labels = [], []
        with view_batches(stream, self._workers) as batches:
            for batch in batches:
                logits = layer(self._encoder(batch.views.to(self._device)))
                self._encoded += len(batch.views)
                ranked.append(logits.topk(first, dim=1).indices.cpu())
                labels.append(batch.labels.clone())
        views = test.index.views_per_object
        own = torch.cat(labels)[::views]
        return torch.cat(ranked).unflatten(0, (-1, views)), self._splits.labels_of(own, test)
