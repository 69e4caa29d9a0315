"""Writes the report: one self-contained page about evaluated runs."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from iebench import __version__
from iebench.backbones.encoder import Encoder
from iebench.report import wording
from iebench.report.contenders import Contender, contenders_of, untrained_beside, untrained_of
from iebench.report.leaderboard import Leaderboard, leaderboard
from iebench.report.leaderboard_files import R2_NOTE, TOLD_NOTE
from iebench.report.metrics import degrees, percent
from iebench.report.plots import line_style, training_panels
from iebench.report.sample import Sample, read_sample
from iebench.report.showcase import build_showcase
from iebench.report.showcase_pictures import ShowcasePictures, prepare_pictures
from iebench.report.shown_views import larger_views
from iebench.report.subjects import Subject, by_dataset, flatten, read_subjects
from iebench.report.tables import Overview, Table, key_figures, overview, results_table
from iebench.report.tradeoff import TradeoffPanel, tradeoff_panels
from iebench.training.run import Run, dataset_sha256
from iebench.training.run_encoder import encoder_of_run
from shards.errors import IebenchError
from shards.files import write_text
from shards.mirror import dataset_folder
from shards.schema import DatasetIndex, open_dataset

LARGE = 128
"""Smallest height and width in pixels of views that are shown as they are."""
VIEWS = 1000
"""Approximate number of views that networks see for the page; at least ``OBJECTS_OF_CLASS`` objects of each class."""
VIEWS_OF_OBJECT = 12
OBJECTS_OF_CLASS = 2

Enlarge = Callable[[Sample, Sequence[int]], Path]
"""A function that renders objects of a sample, given by their numbers, at ``LARGE``, and returns the dataset's folder."""


@dataclass
class DatasetPart:
    """The section of the report about the evaluations on one dataset.

    Attributes:
        contenders: Trained networks and other encoders; runs that differ only in their seed are one.
        untrained: Untrained networks of the contenders.
        table: Table of all numbers.
        standings: Contenders beside the published rows of the same variant.
        tradeoff: Plots of classification against rotation, of the contenders and the published rows.
        warnings: Sentences on what is missing or has changed.
        index: Index of the dataset; None if it cannot be read.
        pictures: Pictures; None if the dataset cannot be read.
    """

    subjects: list[Subject]
    contenders: list[Contender]
    untrained: list[Contender]
    overview: Overview
    table: Table
    standings: Leaderboard
    tradeoff: list[TradeoffPanel] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    index: DatasetIndex | None = None
    pictures: ShowcasePictures | None = None

    @property
    def location(self) -> str:
        """Folder or address of the dataset, as the evaluation recorded it."""
        return self.subjects[0].evaluation.test.location

    @property
    def titles(self) -> str:
        """Names of the contenders in words."""
        return wording.enumerate_words([contender.title for contender in self.contenders])


def write_report(
    folders: Sequence[Path], out: Path, enlarge: Enlarge | None = None, explorer: str = ""
) -> None:
    """Writes one page about runs and other encoders: results, curves, retrieval, dataset and configuration.

    The page makes no requests; views are in it as ``data:`` URIs. If a dataset is gone, the page says so and leaves out
    what needs it.

    Args:
        folders: Folders of evaluated runs or encoders; a folder that is named twice is shown once.
        out: The HTML file; its folder is created.
        enlarge: Function that renders objects on the page at a larger size, for a dataset with small views.
        explorer: Address of an explorer of the same runs, to which the page links; empty for none.

    Raises:
        UsageError: No folder is given, or one has not been evaluated.
        IebenchError: A file cannot be read.
    """
    subjects = read_subjects(folders)
    parts = [describe_dataset(folder, group, enlarge) for folder, group in by_dataset(subjects).items()]
    for number, part in enumerate(parts):
        colors = {contender.title: line_style(row) for row, contender in enumerate(part.contenders)}
        part.tradeoff = tradeoff_panels(part.standings.standings, colors, f"tradeoff{number}")
    runs = list({subject.run_title: subject for subject in subjects}.values())
    styles = {subject.run_title: line_style(number) for number, subject in enumerate(runs)}
    environment = Environment(
        loader=PackageLoader("iebench.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = wording.minus
    page = environment.get_template("report.html.j2").render(
        title=wording.page_title([contender for part in parts for contender in part.contenders]),
        runs=runs,
        parts=parts,
        words=wording,
        percent=percent,
        degrees=degrees,
        key_figures=key_figures,
        untrained_beside=untrained_beside,
        r2_note=R2_NOTE,
        told_note=TOLD_NOTE,
        styles=styles,
        panels=training_panels(
            [(subject.run_title, subject.records) for subject in runs],
            {term: word for subject in runs for term, word in subject.term_names.items()},
        ),
        without_curve=[subject.run_title for subject in runs if subject.recipe and not subject.records],
        configuration=configuration(parts),
        papers=list(dict.fromkeys(subject.paper for subject in runs if subject.paper)),
        explorer=explorer,
        version=__version__,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page.encode("utf-8", "backslashreplace").decode("utf-8"))


def describe_dataset(folder: Path, subjects: list[Subject], enlarge: Enlarge | None = None) -> DatasetPart:
    """Collects the section of the report about one dataset and the runs evaluated on it."""
    contenders = contenders_of(subjects)
    untrained = untrained_of(contenders)
    everyone = [*contenders, *untrained]
    tables = overview(everyone), results_table(everyone)
    part = DatasetPart(subjects, contenders, untrained, *tables, leaderboard(contenders))
    try:
        if not folder.is_dir():  # a mirror that was removed comes again
            folder = dataset_folder(part.location)
        index = open_dataset(folder)
        each = min(VIEWS_OF_OBJECT, index.views_per_object)
        sample = read_sample(folder, index, max(VIEWS, OBJECTS_OF_CLASS * len(index.classes) * each), each)
    except IebenchError as error:
        part.warnings.append(wording.missing_sentence(part.location, str(error) if folder.is_dir() else ""))
        return part
    part.index = index
    encoders = shown_encoders(contenders, index)
    showcase = build_showcase(sample, [(title, encoder) for title, encoder in encoders.items() if encoder])
    larger = {}
    if enlarge and index.image_size < LARGE:
        owners = showcase.owners()
        wanted = [
            view for view, owner in zip(sample.views, sample.owners.tolist(), strict=True) if owner in owners
        ]
        larger = larger_views(enlarge(sample, owners), wanted)
    part.pictures = prepare_pictures(showcase, larger)
    sha256 = dataset_sha256(folder)
    warnings = [wording.no_checkpoint_sentence([title for title, found in encoders.items() if not found])]
    warnings += [wording.changed_sentence(subject, sha256) for subject in subjects]
    part.warnings = [warning for warning in warnings if warning]
    return part


def shown_encoders(contenders: Sequence[Contender], index: DatasetIndex) -> dict[str, Encoder | None]:
    """Loads the networks of the first runs that were trained here, by title; None if the checkpoint is gone."""
    found: dict[str, Encoder | None] = {}
    for contender in contenders[: wording.MANY]:
        subject = contender.subjects[0]
        if subject.recipe:
            run = Run(subject.folder)
            is_there = run.last_checkpoint.is_file()
            found[subject.run_title] = encoder_of_run(run, run.last_checkpoint, index) if is_there else None
    return found


def configuration(parts: Sequence[DatasetPart]) -> list[tuple[str, list[str], bool]]:
    """Lists every setting: its name, its value for each subject of ``parts`` in order, and whether the values differ."""
    flat = []
    for part in parts:
        settings = (
            part.index.model_dump(mode="json", exclude={"splits", "latents", "classes"}) if part.index else {}
        )
        for subject in part.subjects:
            flat.append(flatten({**subject.config, "evaluated on": part.location, "dataset": settings}))
    rows = []
    for name in {name: None for content in flat for name in content}:
        values = [_as_text(content[name]) if name in content else "–" for content in flat]
        rows.append((name, values, len(set(values)) > 1))
    return rows


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
