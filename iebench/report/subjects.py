"""The runs of a report: what is read of each, and how they are told apart."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iebench.evaluation.results import Evaluation, read_evaluation
from iebench.training.metrics_log import read_metrics
from iebench.training.run import Run, dataset_sha256
from shards.errors import UsageError
from shards.origin import folder_at
from shards.schema import INDEX_NAME

METHOD_NAMES = {
    "sie": "SIE",
    "vicreg": "VICReg",
    "simclr": "SimCLR",
    "simclr_only_equivariant": "SimCLR with the predictor only",
    "byol": "BYOL",
    "augself": "AugSelf",
    "steerable": "A steerable representation",
    "supervised": "A supervised network",
    "equimod_simclr": "EquiMod on SimCLR",
    "equimod_vicreg": "EquiMod on VICReg",
    "equimod_byol": "EquiMod on BYOL",
}


@dataclass(frozen=True)
class Subject:
    """One run with all that the report reads of it."""

    title: str
    run: Run
    config: dict[str, Any]
    evaluation: Evaluation
    records: list[dict[str, Any]]

    @property
    def data(self) -> Path:
        """The folder of the dataset on which it was evaluated; of an address, its mirror."""
        return folder_at(self.evaluation.test.place)

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups of transformations that its predictor is told."""
        return tuple(self.config["recipe"]["method"].get("groups", ()))

    @property
    def method(self) -> str:
        """The method's name, as one writes it."""
        name = self.config["recipe"]["method"]["name"]
        return METHOD_NAMES.get(name, name.replace("_", " "))


def read_subjects(runs: Sequence[Run]) -> list[Subject]:
    """Reads the runs and gives each a title of its own; one that is named twice is read once.

    Raises:
        UsageError: no run is given, one has not been evaluated, or its recipe is of another version.
        IebenchError: a file cannot be read.
    """
    folders = list({run.folder.resolve(): run for run in runs}.items())
    if not folders:
        raise UsageError("a report needs at least one run")
    titles = distinct_titles([folder for folder, _ in folders])
    return [_read(title, run) for title, (_, run) in zip(titles, folders, strict=True)]


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


def _read(title: str, run: Run) -> Subject:
    config = {**run.read_config(), "recipe": run.recipe().model_dump(mode="json")}
    return Subject(title, run, config, read_evaluation(run.folder), read_metrics(run.metrics_path))
