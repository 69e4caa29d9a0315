"""Chooses the few numbers at the head of a page about one run."""

from dataclasses import dataclass

from iebench.backbones.encoder import ALL
from iebench.evaluation.results import ScoreKey
from iebench.report.contenders import Contender
from iebench.report.tables import VAL, interval_text, metric_at

_KEY_FIGURES = (
    ("Linear top-1", "whole representation", ScoreKey("classification", ALL, "top1")),
    ("Rotation R²", "equivariant part", ScoreKey("rotation", "equivariant", "r2")),
    ("Rotation R²", "whole representation", ScoreKey("rotation", ALL, "r2")),
    ("Retrieval MRR", "steered by the predictor", ScoreKey("retrieval", VAL, "mrr")),
    ("PRE", "lower is better", ScoreKey("retrieval", VAL, "pre")),
)


@dataclass(frozen=True)
class KeyFigure:
    """One printed number at the head of the page, with the numbers to compare it with."""

    name: str
    detail: str
    value: str
    interval: str
    untrained: str
    chance: str


def key_figures(contender: Contender, untrained: Contender | None) -> list[KeyFigure]:
    """Chooses at most four of the run's numbers for the head of the page."""
    figures: list[KeyFigure] = []
    for name, detail, path in _KEY_FIGURES:
        metric, summary = metric_at(path), contender.summary(path)
        before = untrained.summary(path) if untrained else None
        if summary and name not in {figure.name for figure in figures}:
            chance = "" if summary.chance is None else metric.show(summary.chance)
            was = metric.show(before.mean) if before else ""
            figures.append(
                KeyFigure(
                    name, detail, metric.show(summary.mean), interval_text(metric, summary), was, chance
                )
            )
    return figures
