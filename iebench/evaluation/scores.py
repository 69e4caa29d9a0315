"""Scores of predicted classes and transformations: accuracies, R² and angles.

Plain functions return one number. Functions that end in ``_by_object`` return the contribution of each object to that
number, from which ``intervals`` computes its 95 % interval; their arrays are (objects, pairs or views of each,
...).
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from iebench.evaluation.intervals import PerObject

CONSTANT = 1e-6
"""Range, as a share of the largest target, below which a component counts as constant: float32 rounding."""


def r2(predicted: Tensor, expected: Tensor) -> float | None:
    """Computes R² as the 3DIEBench papers define it, pooled over pairs and components.

    It is ``1 - sum((expected - predicted)²) / sum((expected - m)²)``, where ``m`` is one number: the mean of all
    components of all pairs. Components whose means differ, such as the w of a quaternion, give a constant
    predictor a score above 0: see ``constant_r2``. Source: SIE (arXiv 2302.10283), ``r2_score`` of its code.

    Args:
        predicted: Predictions (pairs, dimension).
        expected: Targets (pairs, dimension).

    Returns:
        A number of at most 1; None if all targets are equal.
    """
    return _r2_sums(predicted, expected, pooled=True).value


def r2_per_component(predicted: Tensor, expected: Tensor) -> float | None:
    """Computes R² as scikit-learn defines it: the mean of each component's own R².

    A constant predictor scores at most 0. Components that do not vary are left out of the mean. Source:
    seq-JEPA (arXiv 2505.03176) reports this one.

    Args:
        predicted: Predictions (pairs, dimension).
        expected: Targets (pairs, dimension).

    Returns:
        A number of at most 1; None if no component varies.
    """
    return _r2_sums(predicted, expected, pooled=False).value


def constant_r2(expected: Tensor) -> float | None:
    """Computes the pooled ``r2`` of the best constant predictor, which predicts each component's mean.

    It is 0.23 for 3DIEBench's relative rotations, 0.46 for the rotation of a single view, 0 for differences of hue.
    Targets are (pairs, dimension) or (objects, pairs, dimension).
    """
    expected = expected.flatten(0, -2).double()
    return r2(expected.mean(dim=0).expand_as(expected), expected)


def r2_by_object(predicted: Tensor, expected: Tensor) -> PerObject:
    """Computes ``r2`` of arrays (objects, pairs, dimension) by object; its chance level is ``constant_r2``."""
    return _r2_sums(predicted, expected, pooled=True, chance=constant_r2(expected))


def r2_per_component_by_object(predicted: Tensor, expected: Tensor) -> PerObject:
    """Computes ``r2_per_component`` of arrays (objects, pairs, dimension) by object; its chance level is 0."""
    return _r2_sums(predicted, expected, pooled=False, chance=0.0)


def rotation_angles(predicted: Tensor, expected: Tensor) -> Tensor:
    """Computes the angles between predicted and true rotations, in degrees, in [0, 180].

    True rotations are unit quaternions (..., 4), predicted ones of any length; q and -q are the same rotation.
    """
    cosine = (F.normalize(predicted.double(), dim=-1) * expected.double()).sum(dim=-1).abs().clamp(max=1)
    return torch.rad2deg(2 * torch.acos(cosine))


def median_angle_degrees(predicted: Tensor, expected: Tensor) -> float:
    """Computes the median angle between rotations, in degrees, in [0, 180]; see ``rotation_angles``."""
    return float(np.median(rotation_angles(predicted, expected).cpu().numpy()))


def median_angle_by_object(predicted: Tensor, expected: Tensor) -> PerObject:
    """Computes the median angle by object, of quaternions (objects, pairs, 4) as ``rotation_angles`` takes them.

    Its chance level is that of the best constant that a probe can learn: the mean quaternion, at unit length.
    """
    angles = rotation_angles(predicted, expected)
    quaternions = expected.flatten(0, 1)
    constant = F.normalize(quaternions.double().mean(dim=0), dim=0).expand_as(quaternions)
    chance = median_angle_degrees(constant, quaternions)
    return PerObject.median(angles.flatten(1).float().cpu().numpy(), chance)


def accuracy_by_object(hits: Tensor, chance: float | None) -> PerObject:
    """Computes the share of hits (objects, views) bool by object; ``chance`` is None if there is no chance level."""
    return PerObject.mean_of(hits.double().cpu().numpy(), chance)


def class_accuracy_by_object(hits: Tensor, labels: Tensor, classes: int) -> PerObject:
    """Computes the mean per-class accuracy by object; each class that has objects counts alike.

    Its chance level is 1 over the number of such classes: what naming one class for all views scores.

    Args:
        hits: Hits (objects, views) bool, true if the view's class was found.
        labels: Classes (objects,) in [0, classes).
        classes: Number of classes.
    """
    members = F.one_hot(labels.cpu(), classes).double()
    found = hits.cpu().double()
    number, total = members * found.shape[1], members * found.sum(dim=1, keepdim=True)
    present = int((members.sum(dim=0) > 0).sum())
    return PerObject.class_mean(number.numpy(), total.numpy(), 1 / present if present else None)


def majority_chance(train_labels: Tensor, val_labels: Tensor, k: int = 1) -> float | None:
    """Computes the top-k accuracy of always naming the k most frequent training classes.

    Args:
        train_labels: Classes (objects,) of the training objects.
        val_labels: Classes (objects,) of the validation objects.
        k: Number of classes that are named.

    Returns:
        A share; None if there is no validation object.
    """
    if not len(val_labels):
        return None
    most = torch.bincount(train_labels.cpu()).topk(min(k, int(train_labels.max()) + 1)).indices
    return torch.isin(val_labels.cpu(), most).double().mean().item()


def batch_r2(predicted: Tensor, expected: Tensor) -> Tensor:
    """Computes the pooled ``r2`` of a training batch (pairs, dimension) on its device, so that nothing waits for it.

    Returns:
        A scalar; NaN if all targets are equal.
    """
    expected = expected.double()
    residual = (expected - predicted.double()).pow(2).sum()
    total = (expected - expected.mean()).pow(2).sum()
    return torch.where(total > 0, 1 - residual / total, math.nan)


def _r2_sums(predicted: Tensor, expected: Tensor, pooled: bool, chance: float | None = None) -> PerObject:
    """Computes by object the sums from which R² follows, with all components as one if ``pooled``.

    Arrays are (objects, pairs, dimension), or (pairs, dimension) of one object. Targets are centered by the mean of all,
    which leaves R² as it is and keeps its sums exact.
    """
    targets, guesses = (
        values.double().cpu().reshape(1 if values.ndim == 2 else len(values), -1, values.shape[-1]).numpy()
        for values in (expected, predicted)
    )
    scale = np.abs(targets).max(initial=0)
    if pooled:
        targets, guesses = (values.reshape(len(values), -1, 1) for values in (targets, guesses))
    centered = targets - targets.mean(axis=(0, 1))
    centered[..., np.ptp(targets, axis=(0, 1)) <= CONSTANT * scale] = 0
    return PerObject.r2(centered, targets - guesses, chance)
