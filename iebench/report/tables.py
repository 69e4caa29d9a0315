"""The results table, for the terminal and for the report."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

PARTS = ("whole", "invariant", "equivariant")
MISSING = "–"


@dataclass(frozen=True)
class Metric:
    """One row: what is measured, how to find it in ``eval.json`` and how to print it."""

    group: str
    name: str
    path: tuple[str, ...]
    show: Callable[[float], str]
    higher_is_better: bool = True
    chance: str = ""

    def read(self, results: Mapping[str, Any]) -> float | None:
        """The value in one network's results; None where the network has no such part or predictor."""
        value: Any = results
        for name in self.path:
            value = value.get(name) if value is not None else None
        return None if value is None else float(value)

    def cell(self, value: float | None) -> str:
        """A value as printed."""
        return MISSING if value is None else self.show(value)


@dataclass(frozen=True)
class Row:
    """A metric with its value for each column.

    Attributes:
        best: the columns that print the best value; empty where all print the same.
    """

    metric: Metric
    values: tuple[float | None, ...]
    best: tuple[int, ...]
    chance: float | None

    def cells(self) -> list[str]:
        """The values as printed."""
        return [self.metric.cell(value) for value in self.values]


@dataclass(frozen=True)
class Table:
    """Metrics by network."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def groups(self) -> list[tuple[str, list[Row]]]:
        """The rows by the group of their metric, in order."""
        return [(group, list(rows)) for group, rows in groupby(self.rows, key=lambda row: row.metric.group)]


def _percent(value: float) -> str:
    return f"{value:.1%}"


def _three_digits(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def _degrees(value: float) -> str:
    return f"{value:.1f}°"


METRICS = (
    *(
        Metric(f"Classification, linear ({part})", name, ("classification", part, key), _percent, True, key)
        for part in PARTS
        for name, key in (("top-1", "top1"), ("top-5", "top5"))
    ),
    *(
        Metric("Rotation between two views", f"R² ({part})", ("rotation", part, "r2"), _three_digits)
        for part in PARTS
    ),
    *(
        Metric(
            "Rotation between two views",
            f"median error ({part})",
            ("rotation", part, "median_angle"),
            _degrees,
            False,
        )
        for part in PARTS
    ),
    *(
        Metric(f"{name} between two views", f"R² ({part})", (group, part, "r2"), _three_digits)
        for name, group in (("Colour", "color"), ("Light direction", "light"), ("Position", "translation"))
        for part in PARTS
    ),
    Metric("Predictor, retrieval", "MRR", ("retrieval", "mrr"), _three_digits, True, "mrr"),
    *(Metric("Predictor, retrieval", f"H@{k}", ("retrieval", f"h@{k}"), _percent) for k in (1, 5, 10)),
    Metric("Predictor, retrieval", "PRE (lower is better)", ("retrieval", "pre"), _three_digits, False),
)


def comparison(networks: Mapping[str, dict[str, Any]], evaluation: dict[str, Any]) -> Table:
    """Networks side by side with the untrained one of ``evaluation`` last.

    Args:
        networks: results by column title, as under ``networks`` in ``eval.json``.
        evaluation: the ``eval.json`` that gives the untrained network and the chance levels.
    """
    return side_by_side({**networks, "untrained": evaluation["networks"]["untrained"]}, evaluation["chance"])


def side_by_side(columns: Mapping[str, dict[str, Any]], chance: Mapping[str, float]) -> Table:
    """Every metric that one of the columns has, for the columns as given.

    Args:
        columns: results by column title, as under ``networks`` in ``eval.json``.
        chance: chance levels by name, as under ``chance`` in ``eval.json``.
    """
    rows = []
    for metric in METRICS:
        values = tuple(metric.read(results) for results in columns.values())
        if any(value is not None for value in values):
            rows.append(Row(metric, values, _best(metric, values), chance.get(metric.chance)))
    return Table(tuple(columns), tuple(rows))


@dataclass(frozen=True)
class Overview:
    """Networks as rows and the few numbers that tell methods apart as columns.

    Attributes:
        headers: of the columns.
        rows: title, and cells with whether each is the best of its column.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, bool], ...]], ...]


def overview(evaluations: Mapping[str, dict[str, Any]]) -> Overview:
    """A table for many runs: their trained networks by what the whole representation holds.

    The last row is the untrained network, where it is the same for all. What its predictor does is left out,
    because predictors differ.

    Args:
        evaluations: ``eval.json`` by title.
    """
    columns = {title: evaluation["networks"]["trained"] for title, evaluation in evaluations.items()}
    untrained = [_of_whole(evaluation["networks"]["untrained"]) for evaluation in evaluations.values()]
    if all(results == untrained[0] for results in untrained):
        columns["untrained"] = untrained[0]
    shown: list[tuple[str, tuple[tuple[str, bool], ...]]] = []
    cells = []
    for key_number in KEY_NUMBERS:
        values = [key_number.metric.read(results) for results in columns.values()]
        best = _best(key_number.metric, values)
        printed = (key_number.metric.cell(value) for value in values)
        cells.append([(text, number in best) for number, text in enumerate(printed)])
    for title, row in zip(columns, zip(*cells, strict=True), strict=True):
        shown.append((title, row))
    return Overview(tuple(number.header for number in KEY_NUMBERS), tuple(shown))


@dataclass(frozen=True)
class KeyNumber:
    """A column of the overview: of the whole representation, so that all methods are probed alike."""

    header: str
    path: tuple[str, ...]

    @property
    def metric(self) -> Metric:
        """How it is found and printed."""
        return metric_at(self.path)


def metric_at(path: tuple[str, ...]) -> Metric:
    """The metric that is found under ``path`` in a network's results."""
    return next(metric for metric in METRICS if metric.path == path)


def _of_whole(results: Mapping[str, Any]) -> dict[str, Any]:
    """The results on the whole representation alone."""
    probes = {name: value for name, value in results.items() if name != "retrieval"}
    return {name: {"whole": value["whole"]} for name, value in probes.items()}


KEY_NUMBERS = (
    KeyNumber("top-1", ("classification", "whole", "top1")),
    KeyNumber("rotation R²", ("rotation", "whole", "r2")),
    KeyNumber("rotation error ↓", ("rotation", "whole", "median_angle")),
    KeyNumber("colour R²", ("color", "whole", "r2")),
    KeyNumber("MRR", ("retrieval", "mrr")),
    KeyNumber("H@1", ("retrieval", "h@1")),
    KeyNumber("PRE ↓", ("retrieval", "pre")),
)
"""What tells methods apart at a glance."""


def text_table(table: Table) -> str:
    """The table for a terminal."""
    lines = [f"{'':<30}" + "".join(f"{title:>14}" for title in table.columns) + f"{'chance':>10}"]
    group = ""
    for row in table.rows:
        if row.metric.group != group:
            group = row.metric.group
            lines.append(group)
        chance = "" if row.chance is None else row.metric.show(row.chance)
        lines.append(
            f"  {row.metric.name:<28}" + "".join(f"{cell:>14}" for cell in row.cells()) + f"{chance:>10}"
        )
    return "\n".join(lines)


def _best(metric: Metric, values: Sequence[float | None]) -> tuple[int, ...]:
    finite = [value for value in values if value is not None and math.isfinite(value)]
    printed = [metric.cell(value) for value in values]
    if not finite or len(set(printed)) == 1:
        return ()
    best = metric.show(max(finite) if metric.higher_is_better else min(finite))
    return tuple(column for column, text in enumerate(printed) if text == best)
