"""Computes scores by object from what probes predict."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from iebench.evaluation.features import Features
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.knn import nearest_classes
from iebench.evaluation.probes import TOP, ProbeInput, targets_of_test
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.scores import (
    accuracy_by_object,
    class_accuracy_by_object,
    majority_chance,
    median_angle_by_object,
    r2_by_object,
    r2_per_component_by_object,
)
from iebench.evaluation.tasks import ProbeTask
from iebench.evaluation.view_draws import train_draws

Scores = dict[str, PerObject]
"""Contributions of objects to each metric of one task and part, by the metric's name."""


def score_probe(
    task: ProbeTask, predictions: Tensor, train: Features, val: Features, latent_names: list[str]
) -> Scores:
    """Computes all metrics of one probe from the predictions that ``fit_probes`` returned for it."""
    if task.is_classification:
        return score_classes(predictions, train.labels, val.labels, task.outputs)
    expected = targets_of_test(task, val)
    if task.name == "latents":
        return {
            f"r2_{name}": r2_by_object(predictions[..., [column]], expected[..., [column]])
            for column, name in enumerate(latent_names)
        }
    scores = {
        "r2": r2_by_object(predictions, expected),
        "r2_per_component": r2_per_component_by_object(predictions, expected),
    }
    if task.name in ("rotation", "pose"):
        scores["median_angle"] = median_angle_by_object(predictions, expected)
    return scores


def score_neighbors(
    inputs: ProbeInput, columns: tuple[int, int], classes: int, config: EvaluationConfig, device: torch.device
) -> Scores:
    """Computes the accuracies of a vote of the 20 nearest training views by some columns of the representation.

    By the published protocol the gallery is one random view of each training object, by the thorough one all.
    """
    train, val = inputs.train, inputs.val
    rows, _ = train_draws(train.objects, train.views, config, 0)
    start, stop = columns
    ranked = nearest_classes(
        train.representations.flatten(0, 1)[rows, start:stop],
        train.labels[rows // train.views],
        val.representations.flatten(0, 1)[:, start:stop],
        classes,
        device,
        first=TOP,
    )
    return score_classes(ranked.unflatten(0, (val.objects, val.views)), train.labels, val.labels, classes)


def score_classes(ranked: Tensor, train_labels: Tensor, val_labels: Tensor, classes: int) -> Scores:
    """Computes the accuracies of classes (objects, views, k) that are named best first.

    Labels are (objects,), of each split; those of training are for the chance level. No metric counts an object whose
    label is -1, which stands for a class that training lacks.
    """
    is_known = val_labels >= 0
    hits = ranked == val_labels[:, None, None]
    first, any_of = hits[..., 0], hits[..., :TOP].any(dim=2)
    known = val_labels[is_known]
    scores = {
        "top1": accuracy_by_object(first[is_known], majority_chance(train_labels, known)),
        "top5": accuracy_by_object(any_of[is_known], majority_chance(train_labels, known, TOP)),
        "class_accuracy": class_accuracy_by_object(first[is_known], known, classes),
    }
    return {name: _with_unknown(score, is_known) for name, score in scores.items()}


def _with_unknown(score: PerObject, is_known: Tensor) -> PerObject:
    """Extends a score to all objects, of which those with an unknown class contribute nothing."""
    if bool(is_known.all()):
        return score
    values = np.zeros((len(is_known), score.values.shape[1]))
    values[torch.nonzero(is_known).flatten().numpy()] = score.values
    return replace(score, values=values)
