"""The report: one self-contained page about evaluated runs."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from iebench.evaluation.results import TRAINED, UNTRAINED, RetrievalExample
from iebench.report import wording
from iebench.report.gallery import (
    Gallery,
    Picture,
    ViewName,
    changes_in_words,
    picture,
    read_gallery,
    rotation_in_words,
)
from iebench.report.plots import line_style, training_panels
from iebench.report.subjects import Subject, by_dataset, flatten, read_subjects
from iebench.report.tables import Overview, Table, overview, side_by_side
from iebench.training.run import Run, dataset_sha256
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
    """What the report says about the runs that were evaluated on one dataset.

    Attributes:
        table: trained and untrained networks side by side.
        overview: where there are many runs, the numbers that tell them apart, a run a row.
        warnings: sentences on what is missing or has changed.
        index: None where the dataset cannot be read; then there are no examples and no sheet either.
    """

    folder: Path
    subjects: list[Subject]
    table: Table
    overview: Overview | None = None
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
        """The runs in words."""
        return wording.enumerate_words([subject.title for subject in self.subjects])


def write_report(runs: Sequence[Run], out: Path) -> None:
    """Writes one page about runs: results, curves, retrieval, dataset and configuration.

    The page makes no request of any kind; views are in it as ``data:`` URIs. Where a dataset is not there any
    more, the page says so and leaves out what needs it.

    Args:
        runs: evaluated runs; one that is named twice is shown once.
        out: the HTML file; its folder is created.

    Raises:
        UsageError: no run is given, or one has not been evaluated.
        IebenchError: a file of a run cannot be read.
    """
    subjects = read_subjects(runs)
    parts = [describe_dataset(folder, group) for folder, group in by_dataset(subjects).items()]
    styles = [line_style(number) for number in range(len(subjects))]
    page = _template().render(
        title=wording.page_title(subjects),
        subjects=subjects,
        parts=parts,
        indices={subject.title: part.index for part in parts for subject in part.subjects},
        words=wording,
        styles=styles,
        styles_by_title={subject.title: style for subject, style in zip(subjects, styles, strict=True)},
        panels=training_panels([(subject.title, subject.records) for subject in subjects]),
        without_curve=[subject.title for subject in subjects if not subject.records],
        configuration=configuration(parts),
        papers=papers(subjects),
        version=version("iebench"),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page.encode("utf-8", "backslashreplace").decode("utf-8"))


def describe_dataset(folder: Path, subjects: list[Subject]) -> DatasetPart:
    """The part of the report about one dataset and the runs evaluated on it."""
    many = len(subjects) > wording.MANY
    part = DatasetPart(folder, subjects, network_table(subjects), overview_table(subjects) if many else None)
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


def overview_table(subjects: Sequence[Subject]) -> Overview:
    """The trained networks, a row each."""
    return overview({subject.title: subject.evaluation for subject in subjects})


def network_table(subjects: Sequence[Subject]) -> Table:
    """Trained networks side by side, then the untrained ones, each of which is shown once."""
    alone = len(subjects) == 1
    columns = {"trained" if alone else subject.title: subject.evaluation.of(TRAINED) for subject in subjects}
    untrained = [(subject.title, subject.evaluation.of(UNTRAINED)) for subject in subjects]
    if all(results == untrained[0][1] for _, results in untrained):
        columns["untrained"] = untrained[0][1]
    else:
        columns |= {f"{title}, untrained": results for title, results in untrained}
    return side_by_side({title: results for title, results in columns.items() if results})


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
    found = (subject.config["recipe"].get("about", {}).get("paper", "") for subject in subjects)
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
