"""Compares one encoding that a predictor steers with many encodings.

Test-time augmentation encodes K views of an object and averages what a classifier says of them. Steerable Equivariant
Representations (arXiv 2302.11349) move one embedding K times instead. Both are measured here by accuracy and time, on
clean and on corrupted views, and by how well their confidence tells corrupted views and unknown classes.
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from iebench.augmentations.parameters import PARAMETERS
from iebench.backbones.encoder import ALL, EmbeddingPredictor, Encoder
from iebench.evaluation.corruptions import CORRUPTIONS, SMALLEST, Condition, load_corrupt
from iebench.evaluation.equivariance import equimod_measures
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.more_views import AugmentedViews, more_views_for
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import LeftOut
from iebench.evaluation.scores import majority_chance
from iebench.evaluation.scoring import Scores
from iebench.evaluation.splits import Splits
from iebench.evaluation.steered_pass import SteeredPass, linear_classifier, objects_of
from iebench.methods.parts.transformations import AUGMENTATION_GROUPS

TTA, TTA_CORRUPTION, TTA_DETECTION = "tta", "tta_corruption", "tta_detection"
AUGMENTATION_STEPS = "augmentation_steps"
STEERING_TASKS = (TTA, TTA_CORRUPTION, TTA_DETECTION, AUGMENTATION_STEPS)
"""Tasks of the steering suite."""

MOST_VIEWS = 64
"""Largest number of views that are averaged; the numbers are 1, 2, 4 and so on."""
CORRUPTED_VIEWS = 8
"""Number of views that are averaged for a corrupted view."""
SEVERITY = 3
STEPS = 4
"""Number of augmentations of each object and group by which the predictor's steps are measured."""
TRAINED_ON = 4096
"""Largest number of training objects to which the classifier is fitted."""


def steering_left_out(splits: Splits) -> list[LeftOut]:
    """Lists the tasks of the steering suite that the datasets do not allow, each with the reason."""
    if reason := splits.why_not_classified():
        return [LeftOut(task, reason) for task in (TTA, TTA_CORRUPTION, TTA_DETECTION)]
    if splits.test.index.image_size < SMALLEST:
        reason = f"images below {SMALLEST} px cannot be corrupted"
        return [LeftOut(task, reason) for task in (TTA_CORRUPTION, TTA_DETECTION)]
    return []


def steering_tasks(predictor: EmbeddingPredictor | None, splits: Splits) -> list[str]:
    """Lists the tasks that can be measured; a predictor of scenes needs its latents and two views of an object."""
    impossible = {item.task for item in steering_left_out(splits)}
    test = splits.test
    if predictor is None or predictor.augmentation is None:
        impossible.add(AUGMENTATION_STEPS)
    if predictor is not None and predictor.augmentation is None:
        is_told = set(predictor.latent_names) <= set(test.latent_names)
        if test.index.views_per_object < 2 or not is_told:
            return []
    return [task for task in STEERING_TASKS if task not in impossible]


class SteeringMeter:
    """Measures the tasks of the steering suite for one network, which is on the device.

    Raises:
        IebenchError: A shard cannot be read.
        UsageError: Corruptions need a package that is not installed.
    """

    def __init__(
        self, encoder: Encoder, splits: Splits, config: EvaluationConfig, device: torch.device
    ) -> None:
        self._encoder, self._splits, self._config, self._device = encoder, splits, config, device
        index = splits.test.index
        self._more = more_views_for(
            encoder.predictor, splits.test.latent_names, index.views_per_object, MOST_VIEWS
        )
        self._objects = objects_of(splits.test, config.steering_objects, 1 + MOST_VIEWS)
        labels = torch.tensor([views[0].metadata.label for views in self._objects])
        self._labels = labels if splits.fit is None else splits.labels_of(labels, splits.test)

    def measure(self, task: str) -> dict[str, Scores]:
        """Measures one of ``STEERING_TASKS``; the scores are by part."""
        if task == TTA:
            return self._accuracy_and_time()
        if task == AUGMENTATION_STEPS:
            return self._steps()
        return self._corruption() if task == TTA_CORRUPTION else self._detection()

    @cached_property
    def _pass(self) -> SteeredPass:
        assert self._splits.fit is not None
        found = objects_of(self._splits.fit, TRAINED_ON, 1)
        train_labels = torch.tensor([views[0].metadata.label for views in found])
        steered = SteeredPass(self._encoder, self._more, self._device)
        classify = linear_classifier(steered.embed_first(found), train_labels, self._splits.classes)
        steered.classify = classify
        self._train_labels = train_labels
        return steered

    @cached_property
    def _clean(self) -> dict[str, np.ndarray]:
        return self._pass.run(self._objects, self._more.most)

    @cached_property
    def _corrupted(self) -> list[dict[str, np.ndarray]]:
        """Classifies the objects in each corruption."""
        load_corrupt()
        count = min(CORRUPTED_VIEWS, self._more.most)
        conditions = [Condition(name, SEVERITY) for name in CORRUPTIONS]
        return [self._pass.run(self._objects, count, condition) for condition in conditions]

    def _chance(self) -> float | None:
        return majority_chance(self._train_labels, self._labels[self._labels >= 0])

    def _top1(self, probabilities: np.ndarray) -> np.ndarray:
        """Returns hits (objects, 1), 1 if the class is named; NaN for a class that training lacks."""
        labels = self._labels.numpy()
        hits = (probabilities.argmax(axis=-1) == labels).astype(np.float64)
        hits[labels < 0] = np.nan
        return hits[:, None]

    def _accuracy_and_time(self) -> dict[str, Scores]:
        found, chance = self._clean, self._chance()
        scores: dict[str, Scores] = {
            ALL: {
                "top1_single": PerObject.mean_of(self._top1(found["single"]), chance),
                "seconds_single": PerObject.mean_of(found["single_seconds"]),
            }
        }
        count = 1
        while count <= found["images"].shape[1]:
            of_count: Scores = {}
            for kind in ("images", "steered"):
                if kind in found:
                    mean = found[kind][:, :count].mean(axis=1)
                    of_count[f"top1_{kind}"] = PerObject.mean_of(self._top1(mean), chance)
                    spent = found[f"{kind}_seconds"][:, :count].sum(axis=1, keepdims=True)
                    first = found["single_seconds"] if kind == "steered" else 0
                    of_count[f"seconds_{kind}"] = PerObject.mean_of(spent + first)
            scores[str(count)] = of_count
            count *= 2
        return scores

    def _corruption(self) -> dict[str, Scores]:
        chance = self._chance()
        hits = {
            kind: np.concatenate([self._top1(_mean(found, kind)) for found in self._corrupted], axis=1)
            for kind in _kinds(self._clean)
        }
        scores = {ALL: {f"top1_{kind}": PerObject.mean_of(found, chance) for kind, found in hits.items()}}
        for number, name in enumerate(CORRUPTIONS):
            scores[name] = {
                f"top1_{kind}": PerObject.mean_of(found[:, [number]], chance) for kind, found in hits.items()
            }
        return scores

    def _detection(self) -> dict[str, Scores]:
        """Scores how well low confidence tells corrupted views, and classes that training lacks, from usual views."""
        is_known = (self._labels >= 0).numpy()[:, None]
        of_corrupted: Scores = {}
        of_unknown: Scores = {}
        for kind in _kinds(self._clean):
            usual = _mean(self._clean, kind, CORRUPTED_VIEWS).max(axis=-1)[:, None]
            other = np.stack([_mean(found, kind).max(axis=-1) for found in self._corrupted], axis=1)
            of_corrupted[f"auc_{kind}"] = PerObject.auc(usual, other)
            if not is_known.all():
                known, unknown = np.where(is_known, usual, np.nan), np.where(is_known, np.nan, usual)
                of_unknown[f"auc_{kind}"] = PerObject.auc(known, unknown)
        return {ALL: of_corrupted, **({"unknown_classes": of_unknown} if of_unknown else {})}

    def _steps(self) -> dict[str, Scores]:
        """Computes EquiMod's measures of the predictor, for all augmentations together and for each group alone."""
        predictor = self._encoder.predictor
        assert predictor is not None and predictor.augmentation is not None
        recorded = predictor.augmentation.recorded_groups()
        groups = [group for group in AUGMENTATION_GROUPS if group in recorded and group in predictor.groups]
        before = len(predictor.latent_names) - len(PARAMETERS)
        scores: dict[str, Scores] = {}
        for group in (None, *groups):
            more = AugmentedViews(predictor.augmentation, STEPS, before, group)
            steps = SteeredPass(self._encoder, more, self._device).steps(self._objects, STEPS)
            scores[group or ALL] = _step_scores(*steps)
        return scores


def _kinds(found: dict[str, np.ndarray]) -> Sequence[str]:
    return [kind for kind in ("single", "images", "steered") if kind in found]


def _mean(found: dict[str, np.ndarray], kind: str, count: int | None = None) -> np.ndarray:
    """Returns the mean probabilities (objects, classes) of the first ``count`` views."""
    return found[kind] if kind == "single" else found[kind][:, :count].mean(axis=1)


def _step_scores(source: Tensor, target: Tensor, reached: Tensor) -> Scores:
    """Computes the measures of embeddings (objects, steps, dimension)."""
    absolute, relative = equimod_measures(reached, target, source)
    moved, missed = ((start - target).norm(dim=-1).sum(dim=1).numpy() for start in (source, reached))
    return {
        "equimod_absolute": PerObject.mean_of(absolute.numpy(), 0.0),
        "equimod_relative": PerObject.mean_of(relative.numpy(), 1.0),
        "equivariance_error": PerObject.ratio(moved, missed, 1.0),
    }
