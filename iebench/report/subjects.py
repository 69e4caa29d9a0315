"""Reads the runs of a report, and gives them distinct titles."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from iebench.evaluation.intervals import Bootstrap, PerObject, bootstrap_all
from iebench.evaluation.results import Evaluation, EvaluationFile, read_evaluations
from iebench.methods import Method, find_method
from iebench.training.metrics_log import read_metrics
from iebench.training.run import Run, dataset_sha256
from shards.errors import UsageError
from shards.origin import folder_at
from shards.schema import INDEX_NAME


@dataclass(frozen=True, eq=False)
class Subject:
    """One evaluation of one run, or of another encoder, with all that the report reads of it.

    Of an encoder that was not trained here, the configuration and what is read from it is empty.

    Attributes:
        title: Shortest name that is unique on the dataset.
        run_title: Shortest name that is unique among the folders.
        folder: Folder of the run, or of the encoder's evaluations.
        per_object: Contributions of objects to each score; empty if they are not stored.
        records: Logged steps of the run.
    """

    title: str
    run_title: str
    folder: Path
    config: dict[str, Any]
    evaluation: Evaluation
    per_object: Mapping[str, PerObject]
    records: list[dict[str, Any]]

    @property
    def recipe(self) -> dict[str, Any]:
        """Recipe of the run."""
        return self.config.get("recipe", {})

    @property
    def paper(self) -> str:
        """Paper of the run's recipe; empty if none is named."""
        return self.recipe.get("about", {}).get("paper", "")

    @property
    def seed(self) -> int | None:
        """Seed of the training."""
        return self.recipe.get("training", {}).get("seed")

    @property
    def groups(self) -> tuple[str, ...]:
        """Groups of transformations that the predictor or head is told."""
        told = self.recipe.get("method", {}).get("groups", ())
        return tuple(told) or self.evaluation.networks[0].groups

    @property
    def method(self) -> str:
        """Name of the method as one writes it; for an encoder that was not trained here, the encoder's name."""
        if not self.recipe:
            return self.evaluation.networks[0].encoder
        return method_title(self.recipe["method"]["name"])

    @property
    def term_names(self) -> Mapping[str, str]:
        """Words for the terms of the method's loss; empty if the method is not installed."""
        method = _method_called(self.recipe["method"]["name"]) if self.recipe else None
        return method.term_names if method else {}

    @cached_property
    def bootstraps(self) -> dict[str, Bootstrap]:
        """Resamples of each score, by its key."""
        return bootstrap_all(self.per_object)


def method_title(name: str) -> str:
    """Returns the name of a method as one writes it; of one that is not installed here, its registered name in words."""
    method = _method_called(name)
    return (method.title if method else "") or name.replace("_", " ")


def _method_called(name: str) -> type[Method] | None:
    """Returns a method's class, or None if it is not installed: a report of its runs needs no more than their files."""
    try:
        return find_method(name).method
    except UsageError:
        return None


def read_subjects(folders: Sequence[Path]) -> list[Subject]:
    """Reads all evaluations of runs or other encoders; a folder that is named twice is read once.

    Raises:
        UsageError: No folder is given, one has not been evaluated, or its recipe is of another version.
        IebenchError: A file cannot be read.
    """
    unique = {folder.resolve(): folder for folder in folders}
    if not unique:
        raise UsageError("a report needs at least one run")
    titles = distinct_titles(list(unique))
    return [
        subject
        for title, folder in zip(titles, unique.values(), strict=True)
        for subject in _read(title, folder)
    ]


def distinct_titles(folders: Sequence[Path]) -> list[str]:
    """Finds the shortest ends of absolute paths, all of one length, that are distinct."""
    for length in range(1, max(len(folder.parts) for folder in folders)):
        titles = [str(Path(*folder.parts[-length:])) for folder in folders]
        if len(set(titles)) == len(titles):
            return titles
    return [str(folder) for folder in folders]


def by_dataset(subjects: Sequence[Subject]) -> dict[Path, list[Subject]]:
    """Groups subjects by the evaluated dataset; copies of one dataset count as one."""
    folders: dict[str, Path] = {}
    groups: dict[Path, list[Subject]] = {}
    for subject in subjects:
        folder = folder_at(subject.evaluation.test.location)
        identity = dataset_sha256(folder) if (folder / INDEX_NAME).is_file() else str(folder)
        groups.setdefault(folders.setdefault(identity, folder), []).append(subject)
    return groups


def flatten(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flattens nested sections into one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _read(title: str, folder: Path) -> list[Subject]:
    """Reads the evaluations of one folder; several on one dataset get their names as titles."""
    run = Run(folder)
    evaluations = read_evaluations(folder)
    config: dict[str, Any] = {}
    if run.config_path.is_file():
        config = {**run.read_config(), "recipe": run.recipe().model_dump(mode="json")}
    records = read_metrics(run.metrics_path) if run.metrics_path.is_file() else []
    datasets = Counter(evaluation.test.sha256 for evaluation in evaluations)
    subjects = []
    for evaluation in evaluations:
        name = title if datasets[evaluation.test.sha256] == 1 else f"{title} · {evaluation.name}"
        per_object = EvaluationFile(folder, evaluation.name).per_object()
        subjects.append(Subject(name, title, folder, config, evaluation, per_object, records))
    return subjects
