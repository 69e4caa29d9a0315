"""Robustness: accuracy on views unlike those of training, and how well such views are told from usual ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from iebench.backbones.encoder import ALL
from iebench.evaluation.corruptions import CORRUPTED, CORRUPTIONS, SEVERITIES, SMALLEST, Condition, ShownViews
from iebench.evaluation.features import Features
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.knn import kth_similarity
from iebench.evaluation.probes import Probe, ProbeInput, fit_classifier
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import LeftOut
from iebench.evaluation.score_store import OOD
from iebench.evaluation.scores import majority_chance
from iebench.evaluation.scoring import Scores
from iebench.evaluation.splits import Split, Splits
from iebench.evaluation.tasks import ProbeTask
from iebench.evaluation.view_draws import train_draws

CORRUPTION = "corruption"
CLEAN_VIEWS = "clean"
SHIFTS = (CORRUPTION, OOD)
"""Tasks of the robustness suite."""


@dataclass(frozen=True)
class Answers:
    """Predictions for views, and whether they are right.

    Attributes:
        hits: Hits (objects, rows) float64, 1 if the linear probe names the class; NaN if training lacks the class.
        confidences: Largest softmax (objects, rows) float32 of the linear probe.
        similarities: Cosine similarity (objects, rows) float32 to the 20th nearest training view.
        names: Pair (synset, object id) of each object.
    """

    hits: np.ndarray
    confidences: np.ndarray
    similarities: np.ndarray
    names: Sequence[tuple[str, str]]


def shown_views(split: Split, views: int, conditions: tuple[Condition, ...]) -> ShownViews:
    """Says which views of a split are shown: as many as asked for, or all views of an object that has fewer."""
    return ShownViews(min(views, split.index.views_per_object), conditions)


def robustness_left_out(splits: Splits) -> list[LeftOut]:
    """Lists the tasks of the robustness suite that the datasets do not allow, each with the reason."""
    if reason := splits.why_not_classified():
        return [LeftOut(task, reason) for task in SHIFTS if task == CORRUPTION or splits.ood]
    if splits.test.index.image_size < SMALLEST:
        return [LeftOut(CORRUPTION, f"images below {SMALLEST} px cannot be corrupted")]
    return []


class ShiftMeter:
    """Measures one network on shifted views, by the linear probe of the standard suite, which is fitted first.

    Features of the network are by name: ``train``, ``clean`` and those of the tasks. A long fit saves its state in
    ``kept_in``, and resumes from it.

    Raises:
        IebenchError: The loss of the probe is not finite.
    """

    def __init__(
        self,
        splits: Splits,
        config: EvaluationConfig,
        device: torch.device,
        features: Mapping[str, Features],
        kept_in: Path,
        network: str,
    ) -> None:
        self._splits, self._features, self._device = splits, features, device
        train = features["train"]
        columns = (0, train.representations.shape[-1])
        task = ProbeTask("classification", 1, "linear", config.epochs, splits.classes)
        probe = Probe(network, ALL, columns, task)
        self._classify = fit_classifier(
            probe, ProbeInput(train, features[CLEAN_VIEWS]), config, device, kept_in
        )
        rows, _ = train_draws(train.objects, train.views, config, 0)
        self._gallery = train.representations.flatten(0, 1)[rows]
        self._usual = self._answers(CLEAN_VIEWS)

    def measure(self, task: str) -> dict[str, Scores]:
        """Measures one of ``SHIFTS``; the scores are by part."""
        if task == CORRUPTION:
            return score_corruptions(self._usual, self._answers(task), self._chance(CLEAN_VIEWS))
        return {ALL: shift_scores(self._usual, self._answers(task), self._chance(task))}

    def _labels(self, name: str) -> Tensor:
        split = self._splits.ood if name == OOD else self._splits.test
        assert split is not None
        return self._splits.labels_of(self._features[name].labels, split)

    def _chance(self, name: str) -> float | None:
        """Computes the accuracy of always naming the most frequent training class."""
        labels = self._labels(name)
        return majority_chance(self._features["train"].labels, labels[labels >= 0])

    def _answers(self, name: str) -> Answers:
        """Applies the linear probe and the search for the nearest training views to the features of this ``name``."""
        features, labels = self._features[name], self._labels(name)
        found = self._classify(features)
        hits = (found.classes == labels[:, None]).double()
        hits[labels < 0] = torch.nan
        similarities = kth_similarity(self._gallery, features.representations.flatten(0, 1), self._device)
        return Answers(
            hits.numpy(),
            found.confidences.numpy(),
            similarities.unflatten(0, (features.objects, features.views)).numpy(),
            features.names,
        )


def score_corruptions(clean: Answers, corrupted: Answers, chance: float | None) -> dict[str, Scores]:
    """Scores accuracy and detection under corruptions.

    Args:
        clean: Answers for the views as they are.
        corrupted: Answers (objects, views * conditions) for the same views in all conditions of ``CORRUPTED``.
        chance: Accuracy of always naming the most frequent class; None if there is no such class.

    Returns:
        Scores by part: ``all`` (the mean over all corruptions and severities), ``clean``, each corruption
        (the mean over severities), and ``severity_1`` to ``severity_5`` (the mean over corruptions).
    """
    conditions = np.arange(corrupted.hits.shape[1]) % len(CORRUPTED)
    scores = {ALL: shift_scores(clean, corrupted, chance)}
    scores[CLEAN_VIEWS] = {"top1": PerObject.mean_of(clean.hits, chance)}
    for number, name in enumerate(CORRUPTIONS):
        chosen = conditions // len(SEVERITIES) == number
        scores[name] = shift_scores(clean, _rows(corrupted, chosen), chance)
    for number, severity in enumerate(SEVERITIES):
        hits = corrupted.hits[:, conditions % len(SEVERITIES) == number]
        scores[f"severity_{severity}"] = {"top1": PerObject.mean_of(hits, chance)}
    return scores


def shift_scores(usual: Answers, other: Answers, chance: float | None) -> Scores:
    """Scores accuracy on shifted views, alone and relative to usual views, and how well the two are told apart.

    Objects of both are matched by name, so that a resample draws an object with all of its views. The chance level
    of the accuracy is that of always naming the most frequent class.
    """
    names = list(dict.fromkeys((*usual.names, *other.names)))
    usual, other = _matched(usual, names), _matched(other, names)
    # views whose class training has
    known_of_usual, known_of_other = (np.isfinite(answers.hits).sum() for answers in (usual, other))
    per_view = known_of_other / max(1, known_of_usual)
    hits_of_usual, hits_of_other = np.nansum(usual.hits, axis=1), np.nansum(other.hits, axis=1)
    return {
        "top1": PerObject.mean_of(other.hits, chance),
        "top1_relative": PerObject.ratio(hits_of_usual * per_view, hits_of_other),
        "auc_confidence": PerObject.auc(usual.confidences, other.confidences),
        "auc_neighbors": PerObject.auc(usual.similarities, other.similarities),
    }


def _rows(answers: Answers, chosen: np.ndarray) -> Answers:
    """Selects some rows of each object."""
    return replace(
        answers,
        hits=answers.hits[:, chosen],
        confidences=answers.confidences[:, chosen],
        similarities=answers.similarities[:, chosen],
    )


def _matched(answers: Answers, names: Sequence[tuple[str, str]]) -> Answers:
    """Selects the objects of the given names, with NaN for one that the answers lack."""
    if list(answers.names) == list(names):
        return answers
    positions = {name: number for number, name in enumerate(names)}
    rows = [positions[name] for name in answers.names]

    def spread(values: np.ndarray) -> np.ndarray:
        found = np.full((len(names), values.shape[1]), np.nan)
        found[rows] = values
        return found

    return Answers(spread(answers.hits), spread(answers.confidences), spread(answers.similarities), names)
