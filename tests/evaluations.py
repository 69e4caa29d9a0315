"""Evaluations made up from numbers, as the engine leaves them."""

import itertools
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from iebench.evaluation.intervals import Estimate
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import (
    TRAINED,
    UNTRAINED,
    EvaluatedNetwork,
    Evaluation,
    EvaluationFile,
    RetrievalExample,
    Score,
)
from iebench.evaluation.splits import open_splits
from iebench.report.tables import METRICS
from shards.reader import read_views

CHANCE = {"top1": 1 / 3, "top5": 1.0, "mrr": 0.52}


def made_up_evaluation(
    data: Path, trained: float = 0.61, untrained: float = 0.35, parts: Collection[str] = ()
) -> Evaluation:
    """An evaluation on a toy dataset of which no two numbers of a network print alike.

    Without ``parts``, every metric of the report is there; with, those of these parts.
    """
    splits = open_splits(data)
    assert splits.fit
    names = dict.fromkeys(
        (view.metadata.synset, view.metadata.object) for view in read_views(data, splits.test.index, "val")
    )
    scores: list[Score] = []
    for title, start in ((TRAINED, trained), (UNTRAINED, untrained)):
        numbers = itertools.count()
        for metric in METRICS:
            value = start + 0.0041 * next(numbers)
            task, part, name = metric.path
            if not parts or part in parts:
                estimate = Estimate(value, value - 0.01, value + 0.01, CHANCE.get(name), len(names))
                scores.append(Score(title, task, part, name, estimate))
    has_predictor = not parts
    examples = [RetrievalExample(synset, name, 0, 2, 2.0, (1, 2, 3, 0)) for synset, name in list(names)[:3]]
    return Evaluation(
        "views",
        splits.test.describe(),
        splits.fit.describe(),
        EvaluationConfig(),
        tuple(EvaluatedNetwork(title, "run", f"weights of {title}", 512) for title in (TRAINED, UNTRAINED)),
        tuple(scores),
        examples=tuple(examples) if has_predictor else (),
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


def write_evaluation(folder: Path, evaluation: Evaluation) -> Path:
    """Writes an evaluation into a run's folder; its file."""
    file = EvaluationFile(folder, evaluation.name)
    file.write(evaluation)
    return file.path
