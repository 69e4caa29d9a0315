"""The runs of a report: what is read of each, and how they are told apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from iebench.evaluation.intervals import Bootstrap, PerObject, bootstrap_all
from iebench.evaluation.results import Evaluation, EvaluationFile, read_evaluations
from iebench.methods import find_method
from iebench.training.metrics_log import read_metrics
from iebench.training.run import Run, dataset_sha256
from shards.errors import UsageError
from shards.origin import folder_at
from shards.schema import INDEX_NAME


@dataclass(frozen=True, eq=False)
class Subject:
    """One evaluation of one run, or of another encoder, with all that the report reads of it.

    Attributes:
        title: Shortest name that tells it from the others on its dataset.
        run_title: Shortest name that tells its folder from the others.
        folder: Folder of the run, or of the encoder's evaluations.
        config: The run's configuration; empty for an encoder that was not trained here.
        evaluation: What was found.
        per_object: What objects contribute to each score; empty if it is not stored.
        records: The run's logged steps.
    """

    title: str
    run_title: str
    folder: Path
    config: dict[str, Any]
    evaluation: Evaluation
    per_object: Mapping[str, PerObject]
    records: list[dict[str, Any]]

    @property
    def data(self) -> Path:
        """The folder of the dataset on which it was evaluated; of an address, its mirror."""
        return folder_at(self.evaluation.test.place)

    @property
    def recipe(self) -> dict[str, Any]:
        """The run's recipe; empty for an encoder that was not trained here."""
        return self.config.get("recipe", {})

    @property
    def seed(self) -> int | None:
        """The seed of its training; None for an encoder that was not trained here."""
        return self.recipe.get("training", {}).get("seed")

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of transformations that its predictor or head is told."""
        told = self.recipe.get("method", {}).get("groups", ())
        return tuple(told) or self.evaluation.networks[0].groups

    @property
    def method(self) -> str:
        """The method's name, as one writes it; the encoder's, if it was not trained here."""
        if not self.recipe:
            return self.evaluation.networks[0].encoder
        return method_title(self.recipe["method"]["name"])

    @property
    def term_names(self) -> Mapping[str, str]:
        """Words for the terms of its method's loss; empty for an encoder that was not trained here."""
        return find_method(self.recipe["method"]["name"]).method.term_names if self.recipe else {}

    @cached_property
    def bootstraps(self) -> dict[str, Bootstrap]:
        """The resamples of each score, by its key."""
        return bootstrap_all(self.per_object)


def method_title(name: str) -> str:
    """Returns a registered method's name, as one writes it."""
    return find_method(name).method.title or name.replace("_", " ")


def read_subjects(folders: Sequence[Path]) -> list[Subject]:
    """Reads every evaluation of runs or other encoders; a folder that is named twice is read once.

    Raises:
        UsageError: No folder is given, one has not been evaluated, or its recipe is of another version.
        IebenchError: A file cannot be read.
    """
    unique = list({folder.resolve(): folder for folder in folders}.items())
    if not unique:
        raise UsageError("a report needs at least one run")
    titles = distinct_titles([resolved for resolved, _ in unique])
    return [
        subject for title, (_, folder) in zip(titles, unique, strict=True) for subject in _read(title, folder)
    ]


def distinct_titles(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of absolute paths, all of one length, that tell them apart."""
    for length in range(1, max(len(folder.parts) for folder in folders)):
        titles = [str(Path(*folder.parts[-length:])) for folder in folders]
        if len(set(titles)) == len(titles):
            return titles
    return [str(folder) for folder in folders]


def by_dataset(subjects: Sequence[Subject]) -> dict[Path, list[Subject]]:
    """The runs by the dataset of their evaluation; copies of one dataset count as one."""
    folders: dict[str, Path] = {}
    groups: dict[Path, list[Subject]] = {}
    for subject in subjects:
        is_there = (subject.data / INDEX_NAME).is_file()
        identity = dataset_sha256(subject.data) if is_there else str(subject.data)
        groups.setdefault(folders.setdefault(identity, subject.data), []).append(subject)
    return groups


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _read(title: str, folder: Path) -> list[Subject]:
    """The evaluations of one folder, those on one dataset told apart by their names."""
    run = Run(folder)
    evaluations = read_evaluations(folder)
    config: dict[str, Any] = {}
    if run.config_path.is_file():
        config = {**run.read_config(), "recipe": run.recipe().model_dump(mode="json")}
    places = [evaluation.test.sha256 for evaluation in evaluations]
    records = read_metrics(run.metrics_path) if run.metrics_path.is_file() else []
    subjects = []
    for evaluation in evaluations:
        is_alone = places.count(evaluation.test.sha256) == 1
        name = title if is_alone else f"{title} · {evaluation.name}"
        per_object = EvaluationFile(folder, evaluation.name).per_object()
        subjects.append(Subject(name, title, folder, config, evaluation, per_object, records))
    return subjects
