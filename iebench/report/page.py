"""The report: one self-contained page about evaluated runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from iebench import __version__
from iebench.evaluation.results import RetrievalExample
from iebench.report import wording
from iebench.report.contenders import Contender, contenders_of, untrained_beside, untrained_of
from iebench.report.gallery import (
    Gallery,
    Picture,
    ViewName,
    changes_in_words,
    picture,
    read_gallery,
    rotation_in_words,
)
from iebench.report.key_figures import key_figures
from iebench.report.leaderboard import Leaderboard, leaderboard
from iebench.report.leaderboard_files import R2_NOTE, TOLD_NOTE
from iebench.report.plots import line_style, training_panels
from iebench.report.subjects import Subject, by_dataset, flatten, read_subjects
from iebench.report.tables import Overview, Table, overview, results_table
from iebench.report.tradeoff import TradeoffPanel, tradeoff_panels
from iebench.training.run import dataset_sha256
from shards.errors import IebenchError
from shards.files import write_text
from shards.mirror import dataset_folder
from shards.schema import DatasetIndex, open_dataset

TEMPLATE = "report.html.j2"
QUESTIONS_OF_MANY = 2
"""Retrieval questions on a page about many runs, each of which answers them all."""


@dataclass
class Question:
    """What predictors were asked: from one view of an object to another, told some groups of transformations."""

    synset: str
    object: str
    source: int
    target: int
    groups: tuple[str, ...]
    answers: list[tuple[str, RetrievalExample]] = field(default_factory=list)

    def name(self, view: int) -> ViewName:
        """The full name of one of the object's views."""
        return self.synset, self.object, view

    def views(self) -> set[ViewName]:
        """All views that showing the question and its answers takes."""
        retrieved = (view for _, answer in self.answers for view in answer.retrieved)
        return {self.name(view) for view in (self.source, self.target, *retrieved)}


@dataclass(frozen=True)
class Answer:
    """What one run retrieved, best first."""

    title: str
    rank: str
    retrieved: list[Picture]


@dataclass(frozen=True)
class Example:
    """A question with its pictures, and the answer of each run."""

    class_name: str
    object: str
    source: Picture
    target: Picture
    angle: str
    axis: str
    changes: str
    answers: list[Answer]


@dataclass(frozen=True)
class SheetRow:
    """One object of the contact sheet."""

    class_name: str
    object: str
    pictures: list[Picture]


@dataclass
class DatasetPart:
    """What the report says about the evaluations on one dataset.

    Attributes:
        contenders: Trained networks and other encoders; runs that differ only in their seed are one.
        untrained: The untrained networks behind them.
        overview: The numbers that tell contenders apart, a contender a row.
        table: Every number.
        standings: Ours beside the published rows of the same variant.
        tradeoff: Classification against rotation, of ours and of the published rows.
        warnings: Sentences on what is missing or has changed.
        index: None where the dataset cannot be read; then there are no examples and no sheet either.
    """

    folder: Path
    subjects: list[Subject]
    contenders: list[Contender]
    untrained: list[Contender]
    overview: Overview
    table: Table
    standings: Leaderboard
    tradeoff: list[TradeoffPanel] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    index: DatasetIndex | None = None
    examples: list[Example] = field(default_factory=list)
    sheet: list[SheetRow] = field(default_factory=list)

    @property
    def place(self) -> str:
        """The dataset's folder or address, as the evaluation recorded it."""
        return self.subjects[0].evaluation.test.place

    @property
    def titles(self) -> str:
        """The contenders in words."""
        return wording.enumerate_words([contender.title for contender in self.contenders])

    def untrained_beside(self, contender: Contender) -> Contender | None:
        """The untrained network of a contender; None if it has none."""
        return untrained_beside(contender, self.untrained)


def write_report(folders: Sequence[Path], out: Path) -> None:
    """Writes one page about runs and other encoders: results, curves, retrieval, dataset and configuration.

    The page makes no request of any kind; views are in it as ``data:`` URIs. Where a dataset is not there any
    more, the page says so and leaves out what needs it.

    Args:
        folders: Folders of evaluated runs or encoders; one that is named twice is shown once.
        out: The HTML file; its folder is created.

    Raises:
        UsageError: No folder is given, or one has not been evaluated.
        IebenchError: A file cannot be read.
    """
    subjects = read_subjects(folders)
    parts = [describe_dataset(folder, group) for folder, group in by_dataset(subjects).items()]
    for number, part in enumerate(parts):
        colors = {contender.title: line_style(place) for place, contender in enumerate(part.contenders)}
        part.tradeoff = tradeoff_panels(part.standings.standings, colors, f"tradeoff{number}")
    runs = list({subject.run_title: subject for subject in subjects}.values())
    styles = {subject.run_title: line_style(number) for number, subject in enumerate(runs)}
    page = _template().render(
        title=wording.page_title([contender for part in parts for contender in part.contenders]),
        runs=runs,
        parts=parts,
        words=wording,
        key_figures=key_figures,
        r2_note=R2_NOTE,
        told_note=TOLD_NOTE,
        styles=styles,
        panels=training_panels([(subject.run_title, subject.records) for subject in runs]),
        without_curve=[subject.run_title for subject in runs if subject.recipe and not subject.records],
        configuration=configuration(parts),
        papers=papers(runs),
        version=__version__,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page.encode("utf-8", "backslashreplace").decode("utf-8"))


def describe_dataset(folder: Path, subjects: list[Subject]) -> DatasetPart:
    """The part of the report about one dataset and the runs evaluated on it."""
    contenders = contenders_of(subjects)
    untrained = untrained_of(contenders)
    everyone = [*contenders, *untrained]
    part = DatasetPart(
        folder,
        subjects,
        contenders,
        untrained,
        overview(everyone),
        results_table(everyone),
        leaderboard(contenders),
    )
    many = len(contenders) > wording.MANY
    questions = collect_questions(subjects)[: QUESTIONS_OF_MANY if many else None]
    try:
        if not folder.is_dir():  # a mirror that was removed comes again
            folder = dataset_folder(part.place)
        index = open_dataset(folder)
        gallery = read_gallery(folder, index, {name for question in questions for name in question.views()})
    except IebenchError as error:
        part.warnings.append(wording.missing_sentence(part.place, str(error) if folder.is_dir() else ""))
        return part
    complete = [question for question in questions if question.views() <= gallery.views.keys()]
    part.index = index
    part.examples = [_example(question, gallery, index) for question in complete]
    part.sheet = _sheet(gallery, index)
    sha256 = dataset_sha256(folder)
    part.warnings = [wording.left_out_sentence(len(questions) - len(complete), len(questions), part.place)]
    part.warnings += [wording.changed_sentence(subject, sha256) for subject in subjects]
    part.warnings = [warning for warning in part.warnings if warning]
    return part


def collect_questions(subjects: Sequence[Subject]) -> list[Question]:
    """The retrieval examples of all runs; what several were asked alike is one question."""
    questions: dict[tuple[Any, ...], Question] = {}
    for subject in subjects:
        for answer in subject.evaluation.examples:
            asked = (answer.synset, answer.object, answer.source, answer.target, subject.groups)
            questions.setdefault(asked, Question(*asked)).answers.append((subject.title, answer))
    return list(questions.values())


def papers(subjects: Sequence[Subject]) -> list[str]:
    """Where the runs' methods are from, each paper once."""
    found = (subject.recipe.get("about", {}).get("paper", "") for subject in subjects)
    return list(dict.fromkeys(paper for paper in found if paper))


def configuration(parts: Sequence[DatasetPart]) -> list[tuple[str, list[str], bool]]:
    """Every setting of every run: name, value for each run, whether they differ.

    The runs stand in the order of ``parts``.
    """
    flat = []
    for part in parts:
        settings = (
            part.index.model_dump(mode="json", exclude={"splits", "latents", "classes"}) if part.index else {}
        )
        for subject in part.subjects:
            flat.append(flatten({**subject.config, "evaluated on": part.place, "dataset": settings}))
    rows = []
    for name in {name: None for content in flat for name in content}:
        values = [_as_text(content[name]) if name in content else "–" for content in flat]
        rows.append((name, values, len(set(values)) > 1))
    return rows


def _example(question: Question, gallery: Gallery, index: DatasetIndex) -> Example:
    source, target = (gallery.views[question.name(view)] for view in (question.source, question.target))
    class_name = _class_name(source.metadata.label, index)
    angle, axis = rotation_in_words(source, target, index) if "rotation" in question.groups else ("", "")
    answers = []
    for title, answer in question.answers:
        retrieved = [
            picture(gallery.views[question.name(view)], index, class_name) for view in answer.retrieved
        ]
        is_shown = question.target in answer.retrieved
        rank = wording.rank_in_words(answer.rank, index.views_per_object, is_shown)
        answers.append(Answer(title, rank, retrieved))
    return Example(
        class_name=class_name,
        object=question.object,
        source=picture(source, index, class_name),
        target=picture(target, index, class_name),
        angle=angle,
        axis=axis,
        changes=changes_in_words(source, target, index, question.groups),
        answers=answers,
    )


def _sheet(gallery: Gallery, index: DatasetIndex) -> list[SheetRow]:
    rows = []
    for row in gallery.rows:
        name = _class_name(row.label, index)
        rows.append(SheetRow(name, row.object, [picture(view, index, name) for view in row.views]))
    return rows


def _class_name(label: int, index: DatasetIndex) -> str:
    return next((item.name for item in index.classes if item.label == label), f"class {label}")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _template() -> Any:
    environment = Environment(
        loader=PackageLoader("iebench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = wording.minus
    return environment.get_template(TEMPLATE)
