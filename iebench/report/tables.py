"""The results table, for the terminal and for the report."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from iebench.evaluation.intervals import Estimate
from iebench.evaluation.results import TRAINED, UNTRAINED, Evaluation

PARTS = ("all", "invariant", "equivariant")
VAL = "val-val"
"""Queries and gallery of retrieval: validation views among validation views."""

Results = Mapping[tuple[str, str, str], Estimate]
"""What is known of one network, by task, part and metric."""
MISSING = "–"


@dataclass(frozen=True)
class Metric:
    """One row: what is measured, how to find it in an evaluation and how to print it.

    Attributes:
        group: Heading of the row.
        name: Name of the row.
        path: Task, part and metric of the score.
        show: Prints a value.
        higher_is_better: Whether more is better.
    """

    group: str
    name: str
    path: tuple[str, str, str]
    show: Callable[[float], str]
    higher_is_better: bool = True

    def read(self, results: Results) -> float | None:
        """The value in one network's results; None where it has no such part or predictor, or it is undefined."""
        estimate = results.get(self.path)
        return estimate.value if estimate else None

    def chance(self, results: Results) -> float | None:
        """The chance level in one network's results; None where there is none."""
        estimate = results.get(self.path)
        return estimate.chance if estimate else None

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
        Metric(f"Classification, linear ({part})", name, ("classification", part, key), _percent)
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
    Metric("Predictor, retrieval", "MRR", ("retrieval", VAL, "mrr"), _three_digits),
    *(Metric("Predictor, retrieval", f"H@{k}", ("retrieval", VAL, f"h@{k}"), _percent) for k in (1, 5, 10)),
    Metric("Predictor, retrieval", "PRE (lower is better)", ("retrieval", VAL, "pre"), _three_digits, False),
)


def comparison(evaluation: Evaluation) -> Table:
    """The networks of one evaluation side by side, the trained one first."""
    return side_by_side({network.title: evaluation.of(network.title) for network in evaluation.networks})


def side_by_side(columns: Mapping[str, Results]) -> Table:
    """Every metric that one of the columns has, for the columns as given.

    Args:
        columns: Results by column title.
    """
    rows = []
    for metric in METRICS:
        values = tuple(metric.read(results) for results in columns.values())
        if any(value is not None for value in values):
            levels = (metric.chance(results) for results in columns.values())
            chance = next((level for level in levels if level is not None), None)
            rows.append(Row(metric, values, _best(metric, values), chance))
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


def overview(evaluations: Mapping[str, Evaluation]) -> Overview:
    """A table for many runs: their trained networks by what the whole representation holds.

    The last row is the untrained network, where it is the same for all. What its predictor does is left out,
    because predictors differ.

    Args:
        evaluations: Evaluations by title.
    """
    columns: dict[str, Results] = {title: evaluation.of(TRAINED) for title, evaluation in evaluations.items()}
    untrained = [_of_whole(evaluation.of(UNTRAINED)) for evaluation in evaluations.values()]
    if untrained[0] and all(results == untrained[0] for results in untrained):
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
    path: tuple[str, str, str]

    @property
    def metric(self) -> Metric:
        """How it is found and printed."""
        return metric_at(self.path)


def metric_at(path: tuple[str, str, str]) -> Metric:
    """The metric that is found under ``path`` in a network's results."""
    return next(metric for metric in METRICS if metric.path == path)


def _of_whole(results: Results) -> Results:
    """The results on the whole representation alone."""
    return {path: estimate for path, estimate in results.items() if path[1] == "all"}


KEY_NUMBERS = (
    KeyNumber("top-1", ("classification", "all", "top1")),
    KeyNumber("rotation R²", ("rotation", "all", "r2")),
    KeyNumber("rotation error ↓", ("rotation", "all", "median_angle")),
    KeyNumber("colour R²", ("color", "all", "r2")),
    KeyNumber("MRR", ("retrieval", VAL, "mrr")),
    KeyNumber("H@1", ("retrieval", VAL, "h@1")),
    KeyNumber("PRE ↓", ("retrieval", VAL, "pre")),
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
