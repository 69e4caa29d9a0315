"""Evaluations made up from numbers, as the engine leaves them."""

import itertools
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from iebench.evaluation.intervals import Estimate, PerObject
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import (
    TRAINED,
    UNTRAINED,
    EvaluatedData,
    EvaluatedNetwork,
    Evaluation,
    EvaluationFile,
    Score,
)
from iebench.evaluation.splits import open_splits
from iebench.report.metrics import format_of
from iebench.report.subjects import Subject
from shards.errors import IebenchError
from shards.reader import read_views

PARTS = ("all", "invariant", "equivariant")
PATHS = (
    *(("classification", part, metric) for part in PARTS for metric in ("top1", "top5", "class_accuracy")),
    *(
        (task, part, metric)
        for task in ("rotation", "pose")
        for part in PARTS
        for metric in ("r2", "r2_per_component", "median_angle")
    ),
    *((task, part, "r2") for task in ("color", "light") for part in PARTS),
    *(("retrieval", "val-val", metric) for metric in ("mrr", "h@1", "h@5", "h@10", "pre")),
)
CHANCE = {"top1": 1 / 3, "top5": 1.0, "mrr": 0.52}


def made_up_evaluation(
    data: Path, trained: float = 0.61, untrained: float = 0.35, parts: Collection[str] = ()
) -> Evaluation:
    """An evaluation on a toy dataset of which no two numbers of a network print alike.

    Without ``parts``, every score of ``PATHS`` is there; with, those of these parts.
    """
    splits = open_splits(data)
    assert splits.fit
    names = dict.fromkeys(
        (view.metadata.synset, view.metadata.object) for view in read_views(data, splits.test.index, "val")
    )
    scores: list[Score] = []
    for title, start in ((TRAINED, trained), (UNTRAINED, untrained)):
        numbers = itertools.count()
        for task, part, name in PATHS:
            value = start + 0.0041 * next(numbers)
            if not parts or part in parts:
                estimate = Estimate(value, value - 0.01, value + 0.01, CHANCE.get(name), len(names))
                scores.append(Score(title, task, part, name, estimate))
    return Evaluation(
        "views",
        splits.test.describe(),
        splits.fit.describe(),
        EvaluationConfig(),
        tuple(EvaluatedNetwork(title, "run", f"weights of {title}", 512) for title in (TRAINED, UNTRAINED)),
        tuple(scores),
        complete=True,
    )


def with_value(
    evaluation: Evaluation, network: str, path: tuple[str, str, str], value: float, chance: float
) -> Evaluation:
    """The same with another value and chance level of one score."""
    scores = [
        replace(score, estimate=replace(score.estimate, value=value, chance=chance))
        if (score.network, score.task, score.part, score.metric) == (network, *path)
        else score
        for score in evaluation.scores
    ]
    return replace(evaluation, scores=tuple(scores))


def metrics_without_format(evaluation: Evaluation) -> set[str]:
    """The metrics that the report could not show: they lack a line in ``METRICS``."""
    unknown = set()
    for score in evaluation.scores:
        try:
            format_of(score.metric)
        except IebenchError:
            unknown.add(score.metric)
    return unknown


def write_evaluation(folder: Path, evaluation: Evaluation) -> Path:
    """Writes an evaluation into a run's folder; its file."""
    file = EvaluationFile(folder, evaluation.name)
    file.write(evaluation)
    return file.path


def made_up_subject(
    title: str,
    scores: Mapping[str, PerObject],
    recipe: Mapping[str, Any] | None = None,
    told: Collection[str] = (),
    test: EvaluatedData | None = None,
    is_stored: bool = True,
) -> Subject:
    """A subject of a report that no dataset was needed for.

    Args:
        title: Its title.
        scores: What objects contribute, by network/task/part/metric.
        recipe: Sections of its recipe; none for an encoder that was not trained here.
        told: Groups that its predictor is told.
        test: On what it was evaluated; by default a made-up split.
        is_stored: Whether what objects contribute was stored.
    """
    objects = next(iter(scores.values())).objects
    data = test or EvaluatedData("/data/views", "sha of views", "val", objects, 10, 5, 64, "3diebench")
    networks = dict.fromkeys(key.split("/")[0] for key in scores)
    evaluation = Evaluation(
        "views",
        data,
        replace(data, split="train"),
        EvaluationConfig(),
        tuple(EvaluatedNetwork(name, title, f"{title} {name}", 512, tuple(told)) for name in networks),
        tuple(Score(*key.split("/"), score.estimate()) for key, score in scores.items()),
        complete=True,
    )
    config = {"recipe": dict(recipe), "data": data.location} if recipe else {}
    return Subject(title, title, Path(title), config, evaluation, scores if is_stored else {}, [])
