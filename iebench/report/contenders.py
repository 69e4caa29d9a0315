"""The networks that a table compares. Runs that differ only in their seed count as one."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np

from iebench.backbones.encoder import ALL
from iebench.evaluation.differences import Difference, SeedSummary, paired_difference, pool_seeds
from iebench.evaluation.intervals import Bootstrap
from iebench.evaluation.results import TRAINED, UNTRAINED, ScoreKey
from iebench.evaluation.score_store import OOD
from iebench.report.metrics import format_of
from iebench.report.subjects import Subject, flatten

PREDICTOR_TASKS = ("retrieval", "steps")
"""Tasks whose numbers depend on what a predictor is told."""


@dataclass(frozen=True)
class Contender:
    """One network, or several of one recipe with different seeds, evaluated alike on one dataset.

    Attributes:
        network: Name of the network in the evaluations, ``trained`` or ``untrained``.
        subjects: Evaluations, one for each seed.
        is_whole_only: Whether the contender stands for several methods, so that only probes of the whole
            representation are shown.
    """

    title: str
    network: str
    subjects: tuple[Subject, ...]
    is_whole_only: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of transformations that the predictor is told."""
        return self.subjects[0].groups

    @cached_property
    def paths(self) -> list[ScoreKey]:
        """Paths of the scores that the contender has."""
        found = self.subjects[0].evaluation.estimates_of(self.network)
        return [path for path in found if self._is_shown(path)]

    def summary(self, path: ScoreKey) -> SeedSummary | None:
        """Summarizes one score over the seeds, with interval and chance; None if it is missing or undefined."""
        if not self._is_shown(path):
            return None
        bootstraps = self.bootstraps(path)
        if bootstraps is not None:
            return pool_seeds(bootstraps, format_of(path.metric).bounds)
        found = [subject.evaluation.estimates_of(self.network).get(path) for subject in self.subjects]
        first = found[0]
        values = [item.value for item in found if item is not None and item.value is not None]
        if first is None or len(values) < len(found):
            return None
        spread = float(np.std(values, ddof=1)) if len(values) > 1 else None
        low, high = (first.low, first.high) if len(values) == 1 else (None, None)
        return SeedSummary(
            float(np.mean(values)), spread, len(values), low, high, first.chance, first.objects
        )

    def bootstraps(self, path: ScoreKey) -> list[Bootstrap] | None:
        """Returns the resamples of one score for each seed; None if the contributions of objects are not stored."""
        name = path.text_of(self.network)
        if any(name not in subject.bootstraps for subject in self.subjects):
            return None
        return [subject.bootstraps[name] for subject in self.subjects]

    def difference(self, other: "Contender", path: ScoreKey) -> Difference | None:
        """Computes how much more this contender scores than another on the same objects; None if that is unknown."""
        first, second = self.bootstraps(path), other.bootstraps(path)
        evaluations = [subject.evaluation for subject in (*self.subjects, *other.subjects)]
        tests = {item.test.sha256 for item in evaluations}
        outside = {item.ood.sha256 for item in evaluations if item.ood and path.task == OOD}
        if first is None or second is None or len(tests) > 1 or len(outside) > 1:
            return None
        if not (self._is_shown(path) and other._is_shown(path)):
            return None
        return paired_difference(first, second)

    def _is_shown(self, path: ScoreKey) -> bool:
        return not self.is_whole_only or (path.part == ALL and path.task not in PREDICTOR_TASKS)


def contenders_of(subjects: Sequence[Subject]) -> list[Contender]:
    """Groups trained networks and other encoders into contenders, in the order given; seeds of one recipe are one."""
    times_seen: Counter[tuple[str, int | None]] = Counter()
    groups: dict[tuple[str, int], list[Subject]] = {}
    for subject in subjects:  # the second run of a recipe with the same seed begins a second group
        identity = _identity(subject)
        groups.setdefault((identity, times_seen[identity, subject.seed]), []).append(subject)
        times_seen[identity, subject.seed] += 1
    titles = [_title(group) for group in groups.values()]
    return [
        Contender(title if titles.count(title) == 1 else group[0].title, TRAINED, tuple(group))
        for title, group in zip(titles, groups.values(), strict=True)
    ]


def untrained_of(contenders: Sequence[Contender]) -> list[Contender]:
    """Returns the untrained networks of contenders, one for each backbone and way of evaluating."""
    groups: dict[str, dict[Any, Subject]] = {}
    methods: dict[str, dict[str, None]] = {}
    for contender in contenders:
        for subject in contender.subjects:
            if subject.evaluation.estimates_of(UNTRAINED):
                identity = _beginning(subject)
                groups.setdefault(identity, {}).setdefault(subject.seed, subject)
                methods.setdefault(identity, {})[contender.title] = None
    found = []
    for identity, seeds in groups.items():
        first, *more = methods[identity]
        whose = first + (f" and {len(more)} more" if more else "")
        title = "untrained" if len(groups) == 1 else f"untrained, of {whose}"
        found.append(Contender(title + _count(len(seeds)), UNTRAINED, tuple(seeds.values()), bool(more)))
    return found


def untrained_beside(contender: Contender, untrained: Sequence[Contender]) -> Contender | None:
    """Finds the untrained network of a contender's backbone that was evaluated alike; None if there is none."""
    beginning = _beginning(contender.subjects[0])
    return next((item for item in untrained if _beginning(item.subjects[0]) == beginning), None)


def _beginning(subject: Subject) -> str:
    """Returns a key that is equal for subjects whose untrained networks differ at most in their seed."""
    return json.dumps([subject.recipe.get("backbone"), _evaluated(subject)], sort_keys=True)


def _identity(subject: Subject) -> str:
    """Returns a key that is equal for subjects that differ only in their seed."""
    recipe = {
        name: value
        for name, value in flatten(subject.recipe).items()
        if not name.startswith(("about.", "evaluation.")) and name != "training.seed"
    }
    return json.dumps([recipe or subject.title, _evaluated(subject)], sort_keys=True)


def _evaluated(subject: Subject) -> list[Any]:
    """Returns the settings and datasets of a subject's evaluation."""
    evaluation = subject.evaluation
    settings = evaluation.settings.model_dump(mode="json", exclude={"feature_batch_size", "workers"})
    return [settings, evaluation.test.sha256, evaluation.fit.sha256 if evaluation.fit else None]


def _title(group: Sequence[Subject]) -> str:
    titles = [subject.title for subject in group]
    if len(group) == 1:
        return titles[0]
    letters = takewhile(lambda same: len(set(same)) == 1, zip(*titles, strict=False))
    shared = "".join(same[0] for same in letters).rstrip("-_./ ").removesuffix("seed").rstrip("-_./ ")
    return (shared or titles[0]) + _count(len(group))


def _count(seeds: int) -> str:
    return f" ({seeds} seeds)" if seeds > 1 else ""
