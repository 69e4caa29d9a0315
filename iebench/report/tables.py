"""Makes the tables of results for the terminal and the report: each number with its interval and its chance level."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from iebench.backbones.encoder import ALL
from iebench.evaluation.differences import Difference, SeedSummary
from iebench.evaluation.intervals import Estimate
from iebench.evaluation.results import TRAINED, Evaluation, ScoreKey
from iebench.report.contenders import PREDICTOR_TASKS, Contender
from iebench.report.metrics import METRICS, format_of

MISSING = "–"
VAL = "val-val"
"""Queries and gallery of retrieval: validation views among the views of their object, or among all for PRE."""

HEADINGS = {
    "classification": "Classification, linear",
    "classification_10pct": "Classification, linear, fitted to 10 % of the objects",
    "classification_1pct": "Classification, linear, fitted to 1 % of the objects",
    "classification_knn": "Classification by 20 nearest neighbors",
    "rotation": "Rotation between two views",
    "pose": "Rotation of a single view",
    "color": "Color between two views",
    "color_linear": "Color between two views, linear",
    "light": "Light direction between two views",
    "translation": "Position between two views",
    "latents": "Each latent of a single view",
    "corruption": "Corrupted views: accuracy of the linear probe, and telling them from clean ones",
    "ood": "Views outside the training range: accuracy, and telling them from those within",
    "linear_evaluation": "Classification, a linear layer on the network with crops and flips",
    "tta": "Many views of each object: averaged encodings, and one encoding that is steered to them",
    "tta_corruption": "Averaged and steered encodings of corrupted views: accuracy",
    "tta_detection": "Averaged and steered encodings: detecting corrupted views and unknown classes by low confidence",
    "augmentation_steps": "Predictor, steps by augmentations",
    "retrieval": "Predictor, retrieval",
    "steps": "Predictor, steps in embedding space",
}
"""Tasks in the order of the tables."""

_PARTS = (ALL, VAL, "invariant", "equivariant", "val-gallery", "val-all", "train-train")
_PART_NAMES = {
    "val-gallery": "among all validation views",
    "val-all": "among training and validation views",
    "train-train": "training objects",
    "clean": "clean views",
}


@dataclass(frozen=True)
class Metric:
    """One quantity, with its path in evaluations, the heading and name of its row, and its format."""

    path: ScoreKey
    heading: str
    name: str
    show: Callable[[float], str]
    higher_is_better: bool


def metric_at(path: ScoreKey) -> Metric:
    """Returns the quantity at a path."""
    task, part, key = path
    found = format_of(key)
    name = found.name
    if part not in (ALL, VAL):
        name = f"{name} ({_PART_NAMES.get(part, part.replace('_', ' '))})"
    return Metric(path, HEADINGS.get(task, task), name, found.show, found.higher_is_better)


def in_order(paths: Iterable[ScoreKey]) -> list[ScoreKey]:
    """Sorts paths by task, metric and part as the tables show them, each once and unknown ones last."""
    orders = [{name: number for number, name in enumerate(known)} for known in (HEADINGS, _PARTS, METRICS)]

    def rank(path: ScoreKey) -> tuple[int, int, int]:
        task, part, metric = (order.get(name, len(order)) for order, name in zip(orders, path, strict=True))
        return (task, part, metric) if path.task == "retrieval" else (task, metric, part)

    return sorted(dict.fromkeys(paths), key=rank)


@dataclass(frozen=True)
class Cell:
    """One number as printed.

    Attributes:
        text: Value as text; a dash if there is none.
        interval: Its 95 % interval; empty if there is none.
        spread: Standard deviation over seeds; empty if there is none.
        is_best: Whether the value is the best of its row, or not told apart from the best.
    """

    text: str
    interval: str = ""
    spread: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Row:
    """One quantity for each contender."""

    metric: Metric
    cells: tuple[Cell, ...]
    chance: str


@dataclass(frozen=True)
class Table:
    """Quantities as rows, contenders as columns."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def groups(self) -> list[tuple[str, list[Row]]]:
        """Groups the rows by heading, in order."""
        return [
            (heading, list(rows)) for heading, rows in groupby(self.rows, key=lambda row: row.metric.heading)
        ]


def results_table(contenders: Sequence[Contender]) -> Table:
    """Makes the table of everything that was measured."""
    paths = in_order(path for contender in contenders for path in contender.paths)
    return Table(
        tuple(contender.title for contender in contenders),
        tuple(row_of(metric_at(path), contenders) for path in paths),
    )


def row_of(metric: Metric, contenders: Sequence[Contender]) -> Row:
    """Makes the row of one quantity, with the best contenders marked."""
    summaries = [contender.summary(metric.path) for contender in contenders]
    best = best_of(metric, contenders, summaries)
    cells = tuple(
        Cell(metric.show(item.mean), interval_text(metric, item), spread_text(metric, item), number in best)
        if item
        else Cell(MISSING)
        for number, item in enumerate(summaries)
    )
    chance = next((item.chance for item in summaries if item and item.chance is not None), None)
    return Row(metric, cells, "" if chance is None else metric.show(chance))


def interval_text(metric: Metric, score: SeedSummary | Estimate | Difference) -> str:
    """Formats the interval in brackets; empty if there is none."""
    if score.low is None or score.high is None:
        return ""
    return f"[{metric.show(score.low)}, {metric.show(score.high)}]"


def text_with_interval(metric: Metric, value: float, score: SeedSummary | Estimate | Difference) -> str:
    """Formats the value of a score, followed by its interval if there is one."""
    return f"{metric.show(value)} {interval_text(metric, score)}".rstrip()


def spread_text(metric: Metric, summary: SeedSummary) -> str:
    """Formats the standard deviation over seeds; empty for one seed."""
    return "" if summary.spread is None else f"sd {metric.show(summary.spread)}"


def best_of(
    metric: Metric, contenders: Sequence[Contender], summaries: Sequence[SeedSummary | None]
) -> set[int]:
    """Returns the numbers of the best contenders: the first, and those that are not told apart from it.

    Predictors that are told different groups are not compared. If no contender is told apart, none is best.
    """
    fields: dict[tuple[str, ...], dict[int, SeedSummary]] = {}
    for number, (contender, summary) in enumerate(zip(contenders, summaries, strict=True)):
        if summary is not None:
            told = contender.groups if metric.path.task in PREDICTOR_TASKS else ()
            fields.setdefault(told, {})[number] = summary
    sign = 1 if metric.higher_is_better else -1
    best: set[int] = set()
    for known in fields.values():
        first = max(known, key=lambda number: sign * known[number].mean)
        worse = {
            number
            for number in known
            if number != first
            and is_told_apart(contenders[first], contenders[number], metric, known[first], known[number])
        }
        if worse:
            best |= known.keys() - worse
    return best


def is_told_apart(
    first: Contender, second: Contender, metric: Metric, one: SeedSummary, other: SeedSummary
) -> bool:
    """Returns whether the interval of the paired difference excludes zero.

    If the contributions of objects are not stored, it returns whether the two intervals do not overlap.
    """
    difference = first.difference(second, metric.path)
    if difference is not None:
        return difference.is_difference
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.low > other.high or other.low > one.high


KEY_NUMBERS = {
    "top-1": ScoreKey("classification", ALL, "top1"),
    "rotation R²": ScoreKey("rotation", ALL, "r2"),
    "per component": ScoreKey("rotation", ALL, "r2_per_component"),
    "pose R²": ScoreKey("pose", ALL, "r2"),
    "color R²": ScoreKey("color", ALL, "r2"),
    "MRR": ScoreKey("retrieval", VAL, "mrr"),
    "PRE ↓": ScoreKey("retrieval", VAL, "pre"),
}
"""The columns of the overview, about the whole representation, so that all methods are probed alike."""


@dataclass(frozen=True)
class Overview:
    """A table with contenders as rows and key numbers as columns.

    Attributes:
        headers: Headers of the columns.
        told: Groups that the predictor of each row is told, in words.
        rows: Title and cells of each contender.
        chance: Chance level of each column; empty if there is none.
    """

    headers: tuple[str, ...]
    told: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    chance: tuple[str, ...]


def overview(contenders: Sequence[Contender]) -> Overview:
    """Makes the overview, with the key numbers that at least one contender has."""
    rows = {
        header: row_of(metric_at(path), contenders)
        for header, path in KEY_NUMBERS.items()
        if any(path in contender.paths for contender in contenders)
    }
    return Overview(
        tuple(rows),
        tuple(" and ".join(item.groups) if item.network == TRAINED else "" for item in contenders),
        tuple(
            (contender.title, tuple(row.cells[number] for row in rows.values()))
            for number, contender in enumerate(contenders)
        ),
        tuple(row.chance for row in rows.values()),
    )


_KEY_FIGURES = (
    ("Linear top-1", "whole representation", ScoreKey("classification", ALL, "top1")),
    ("Rotation R²", "equivariant part", ScoreKey("rotation", "equivariant", "r2")),
    ("Rotation R²", "whole representation", ScoreKey("rotation", ALL, "r2")),
    ("Retrieval MRR", "steered by the predictor", ScoreKey("retrieval", VAL, "mrr")),
    ("PRE", "lower is better", ScoreKey("retrieval", VAL, "pre")),
)


@dataclass(frozen=True)
class KeyFigure:
    """One printed number at the head of a page about one run, with the numbers to compare it with."""

    name: str
    detail: str
    value: str
    interval: str
    untrained: str
    chance: str


def key_figures(contender: Contender, untrained: Contender | None) -> list[KeyFigure]:
    """Chooses at most four of the run's numbers for the head of the page."""
    figures: dict[str, KeyFigure] = {}
    for name, detail, path in _KEY_FIGURES:
        metric, summary = metric_at(path), contender.summary(path)
        before = untrained.summary(path) if untrained else None
        if summary and name not in figures:
            value, interval = metric.show(summary.mean), interval_text(metric, summary)
            chance = "" if summary.chance is None else metric.show(summary.chance)
            was = metric.show(before.mean) if before else ""
            figures[name] = KeyFigure(name, detail, value, interval, was, chance)
    return list(figures.values())


HEADLINES = {
    "classification": ("top1", "class_accuracy"),
    "classification_knn": ("top1",),
    "rotation": ("r2", "r2_per_component", "median_angle"),
    "pose": ("r2",),
    "color": ("r2",),
    "light": ("r2",),
    "translation": ("r2",),
    "corruption": ("top1", "top1_relative", "auc_confidence", "auc_neighbors"),
    "ood": ("top1", "top1_relative", "auc_confidence", "auc_neighbors"),
    "retrieval": ("mrr", "h@1", "pre"),
    "steps": ("equivariance_error",),
}
"""Metrics of the whole representation that a terminal shows unless it is asked for all."""
_HEADLINES_OF_PARTS = {"classification": "top1", "rotation": "r2"}


def is_headline(path: ScoreKey) -> bool:
    """Returns whether a terminal shows a score by default."""
    task, part, metric = path
    if part in (ALL, VAL, "clean"):
        return metric in HEADLINES.get(task, ())
    return _HEADLINES_OF_PARTS.get(task) == metric


def text_table(evaluation: Evaluation, shows_all: bool = True) -> str:
    """Formats all scores of an evaluation's networks for a terminal, or only those that ``is_headline`` accepts."""
    results = {network.role: evaluation.estimates_of(network.role) for network in evaluation.networks}
    paths = in_order(path for found in results.values() for path in found)
    metrics = [metric_at(path) for path in paths if shows_all or is_headline(path)]
    names = [metric.name + ("" if metric.higher_is_better else " ↓") for metric in metrics]
    width = 2 + max(map(len, names), default=0)
    lines = [f"{'':<{width}}" + "".join(f"{title:>26}" for title in results) + f"{'chance':>10}"]
    heading = ""
    for metric, name in zip(metrics, names, strict=True):
        if metric.heading != heading:
            heading = metric.heading
            lines.append(heading)
        estimates = [found.get(metric.path) for found in results.values()]
        cells = "".join(f"{_printed(metric, estimate):>26}" for estimate in estimates)
        chance = next((item.chance for item in estimates if item and item.chance is not None), None)
        lines.append(f"  {name:<{width - 2}}{cells}{'' if chance is None else metric.show(chance):>10}")
    if len(metrics) < len(paths):
        lines.append(f"{len(paths) - len(metrics)} more with --all, or in `iebench report`")
    return "\n".join(lines)


def _printed(metric: Metric, estimate: Estimate | None) -> str:
    if estimate is None or estimate.value is None:
        return MISSING
    return text_with_interval(metric, estimate.value, estimate)
