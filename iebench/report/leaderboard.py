"""Puts evaluated runs beside published rows: which numbers share a column, and where settings differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from iebench.backbones.encoder import ALL
from iebench.evaluation.differences import SeedSummary
from iebench.evaluation.results import ScoreKey
from iebench.report.contenders import Contender
from iebench.report.published import (
    CLASSES,
    OBJECTS,
    SETTINGS,
    VIEWS_PER_OBJECT,
    PublishedRow,
    RSquared,
    Source,
    published_rows,
)
from iebench.report.tables import VAL, Metric, metric_at

PUBLISHED_PROBE_EPOCHS = 300


@dataclass(frozen=True)
class Column:
    """One quantity of the leaderboard.

    Attributes:
        key: Name of the column in files.
        header: Name of the column in tables.
        published: Name of the quantity in ``published.toml``.
        path: Task, part and metric of the score in evaluations.
        r2: Definition of R²; None for other quantities, and if both definitions give the same number.
    """

    key: str
    header: str
    published: str
    path: ScoreKey
    r2: RSquared | None = None

    @property
    def metric(self) -> Metric:
        """The metric, which says how a value is printed."""
        return metric_at(self.path)


COLUMNS = (
    Column("top1", "top-1", "top1", ScoreKey("classification", ALL, "top1")),
    Column("rotation_r2", "rotation R²", "rotation_r2", ScoreKey("rotation", ALL, "r2"), "pooled"),
    Column(
        "rotation_r2_per_component",
        "rotation R² per component",
        "rotation_r2",
        ScoreKey("rotation", ALL, "r2_per_component"),
        "per_component",
    ),
    Column("pose_r2", "single view R²", "pose_r2", ScoreKey("pose", ALL, "r2"), "pooled"),
    Column(
        "pose_r2_per_component",
        "single view R² per component",
        "pose_r2",
        ScoreKey("pose", ALL, "r2_per_component"),
        "per_component",
    ),
    Column("color_r2", "color R²", "color_r2", ScoreKey("color", ALL, "r2")),
    Column(
        "translation_r2", "position R²", "translation_object_r2", ScoreKey("translation", ALL, "r2"), "pooled"
    ),
    Column("mrr", "MRR", "mrr", ScoreKey("retrieval", VAL, "mrr")),
    Column("h@1", "H@1", "h@1", ScoreKey("retrieval", VAL, "h@1")),
    Column("h@5", "H@5", "h@5", ScoreKey("retrieval", VAL, "h@5")),
)
"""The quantities that papers on 3DIEBench report. The R² of two hue differences is the same in both definitions."""


@dataclass(frozen=True)
class Standing:
    """One row of the leaderboard.

    Attributes:
        is_ours: Whether the row was evaluated here.
        told: Groups of transformations that the predictor or head is told.
        settings: Values of ``SETTINGS``; None if not stated.
        values: Scores by column key; those evaluated here have intervals.
        source: Title of a published row's source; empty for a row that was evaluated here.
    """

    title: str
    is_ours: bool
    told: tuple[str, ...]
    variant: str
    settings: Mapping[str, str | int | None]
    values: Mapping[str, SeedSummary]
    source: str
    note: str = ""


@dataclass(frozen=True)
class Leaderboard:
    """The rows that were evaluated here, and then the published rows of the same variants.

    Attributes:
        columns: Columns that at least one of the rows has.
        notes: Sentences on how far each contender can be compared, and where settings differ.
        sources: Sentences on each source of published rows.
    """

    columns: tuple[Column, ...]
    standings: tuple[Standing, ...]
    notes: tuple[str, ...]
    sources: tuple[str, ...]


def leaderboard(contenders: Sequence[Contender]) -> Leaderboard:
    """Puts contenders beside the published rows on the variants on which they were evaluated."""
    ours = [standing_of(contender) for contender in contenders]
    variants = {standing.variant for standing in ours}
    rows = [row for row in published_rows() if row.variant in variants]
    standings = [*ours, *(published_standing(row) for row in rows)]
    columns = tuple(
        column for column in COLUMNS if any(column.key in standing.values for standing in standings)
    )
    notes: dict[str, list[str]] = {}
    for contender in contenders:
        notes.setdefault(comparability(contender, rows), []).append(contender.title)
    told = [f"{', '.join(titles)}: {note}" for note, titles in notes.items()]
    sources = dict.fromkeys(f"{row.source.title}: {row.source.note}" for row in rows)
    return Leaderboard(columns, tuple(standings), tuple(told), tuple(sources))


def standing_of(contender: Contender) -> Standing:
    """Makes a row of a contender."""
    values = {column.key: contender.summary(column.path) for column in COLUMNS}
    return Standing(
        contender.title,
        True,
        contender.groups,
        contender.subjects[0].evaluation.test.variant,
        settings_of(contender),
        {key: value for key, value in values.items() if value is not None},
        "",
    )


def settings_of(contender: Contender) -> dict[str, str | int | None]:
    """Returns a contender's settings of training; an encoder that was not trained here has its input size only."""
    subject = contender.subjects[0]
    training, backbone = (subject.recipe.get(name, {}) for name in ("training", "backbone"))
    return {
        "backbone": backbone.get("name"),
        "image_size": subject.evaluation.test.image_size,
        "epochs": training.get("epochs"),
        "batch_size": training.get("batch_size"),
    }


def published_standing(row: PublishedRow) -> Standing:
    """Makes a row of published scores; an R² is only in the column of its definition."""
    values = {}
    for column in COLUMNS:
        if column.published in row.scores and column.r2 in (None, row.r2):
            score = row.scores[column.published]
            values[column.key] = SeedSummary(score, None, 1, None, None, None, OBJECTS["val"])
    return Standing(
        row.method,
        False,
        row.told,
        row.variant,
        row.source.model_dump(include=set(SETTINGS)),
        values,
        row.source.title,
        _note(row),
    )


def comparability(contender: Contender, rows: Sequence[PublishedRow]) -> str:
    """Says in a sentence how far a contender can be compared with published rows, and which settings differ."""
    evaluation = contender.subjects[0].evaluation
    test = evaluation.test
    if not rows:
        return f"nothing is published on this variant ({test.variant})."
    official = (OBJECTS["val"], CLASSES, VIEWS_PER_OBJECT)
    if (test.objects, test.classes, test.views_per_object) != official:
        return (
            f"{test.objects:,} validation objects of {test.classes} classes with "
            f"{test.views_per_object} views are not 3DIEBench’s {OBJECTS['val']:,} of {CLASSES} with "
            f"{VIEWS_PER_OBJECT}. The published rows show the scale; no difference to them means anything."
        )
    settings = evaluation.settings
    probes = []
    if settings.protocol != "published" or settings.epochs != PUBLISHED_PROBE_EPOCHS:
        probes = [f"probes ({settings.protocol}, {settings.epochs} epochs)"]
    phrases = []
    for title, source in {row.source.title: row.source for row in rows}.items():
        differing = [*probes, *differences(settings_of(contender), source)]
        phrases.append(f"{', '.join(differing) or 'nothing that it states'} from {title}")
    return "differs in " + "; in ".join(phrases) + "."


def differences(ours: Mapping[str, str | int | None], source: Source) -> list[str]:
    """Lists, in words, the settings that both state and that differ."""
    found = []
    for name in SETTINGS:
        mine, theirs = ours[name], getattr(source, name)
        if mine is not None and theirs is not None and _plain(mine) != _plain(theirs):
            found.append(f"{name.replace('_', ' ')} ({mine}, theirs {theirs})")
    return found


def _plain(value: str | int) -> str:
    """Normalizes a setting for comparison: ``sie_resnet18`` is a ResNet-18."""
    return str(value).lower().replace("-", "").removeprefix("sie_")


def _note(row: PublishedRow) -> str:
    unknown = [
        f"{name} {score:.2f} of unknown definition"
        for name, score in row.scores.items()
        if row.r2 == "unknown" and name.endswith("_r2") and name != "color_r2"
    ]
    return " ".join([row.note, *([f"Not in a column: {', '.join(unknown)}."] if unknown else [])]).strip()
