"""The folder of a run: configuration, checkpoints, metrics and ``tensorboard/`` of one training."""

import hashlib
import io
import json
import pickle
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from iebench.recipes.recipe import Recipe, apply_override, parse_recipe
from shards.errors import IebenchError, UsageError, first_line
from shards.files import atomic_write, write_text
from shards.mirror import dataset_folder
from shards.origin import location_of, origin_of
from shards.schema import INDEX_NAME, DatasetIndex

MAY_CHANGE_ON_RESUME = (
    "about.",
    "evaluation.",
    "online.",
    "optimizer.",
    "training.checkpoint_activations",
    "training.checkpoint_every",
    "training.compile",
    "training.epochs",
    "training.keep",
    "training.log",
    "training.log_every",
    "training.milestone_every",
    "training.precision",
    "training.validate_every",
    "training.workers",
)
"""Fields and sections of a recipe that may have other values when a run is resumed."""


class Run:
    """Reads and writes the folder of one run.

    Attributes:
        config_path: File of the configuration: the whole recipe, the dataset and the versions.
        metrics_path: File with a JSON line for each logged step.
        initial_checkpoint: Checkpoint of the network before training, which evaluations compare with.
        last_checkpoint: Checkpoint from which a training continues.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config_path = folder / "config.json"
        self.metrics_path = folder / "metrics.jsonl"
        self.initial_checkpoint = folder / "checkpoints" / "initial.pt"
        self.last_checkpoint = folder / "checkpoints" / "last.pt"

    def create(self, recipe: Recipe, data: Path, index: DatasetIndex) -> None:
        """Creates the folder of a new run, with its configuration.

        Raises:
            UsageError: The folder is not empty.
        """
        if self.folder.exists() and not (self.folder.is_dir() and _is_unused(self.folder)):
            raise UsageError(
                f"{self.folder} is not empty; add --resume to go on with the run in it, or choose another folder"
            )
        (self.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.write_config(recipe, data, index)

    def write_config(self, recipe: Recipe, data: Path, index: DatasetIndex, step: int = 0) -> None:
        """Writes the configuration: recipe, dataset, versions, and the fields that each resumption changed at its step."""
        history: list[dict[str, Any]] = []
        if self.config_path.is_file():
            history = self.read_config().get("history", [])
            if changes := self._changes(recipe):
                now = datetime.now(UTC).isoformat(timespec="seconds")
                history.append({"step": step, "time": now, "changes": changes})
        config = {
            "recipe": recipe.model_dump(mode="json"),
            "data": location_of(data),
            "data_sha256": dataset_sha256(data),
            "dataset": index.model_copy(update={"splits": {}}).model_dump(mode="json"),
            "versions": {name: version(name) for name in ("torch", "torchvision")},
            "history": history,
        }
        write_text(self.config_path, json.dumps(config, indent=1) + "\n")

    def write_machine(self, machine: dict[str, Any]) -> None:
        """Adds a description of the machine that computes the run from now on to the configuration."""
        config = {**self.read_config(), "machine": machine}
        write_text(self.config_path, json.dumps(config, indent=1) + "\n")

    def read_config(self) -> dict[str, Any]:
        """Reads the configuration.

        Raises:
            UsageError: The folder holds no run.
            IebenchError: The file cannot be read.
        """
        if not self.config_path.is_file():
            raise UsageError(f"{self.folder} holds no run (no config.json); start one with `iebench train`")
        try:
            return json.loads(self.config_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise IebenchError(f"{self.config_path} cannot be read ({error}); train the run again") from None

    def dataset(self) -> DatasetIndex:
        """Returns the index of the training dataset, without its shards.

        Raises:
            UsageError: There is no run.
            IebenchError: The configuration does not describe the dataset.
        """
        try:
            return DatasetIndex.model_validate_json(json.dumps(self.read_config().get("dataset")))
        except ValidationError:
            raise IebenchError(
                f"{self.config_path} does not say what dataset the run is trained on; train the run again"
            ) from None

    def recipe(self, overrides: Sequence[str] = ()) -> Recipe:
        """Returns the recipe of the run, changed by overrides such as ``section.field=value``.

        Raises:
            UsageError: There is no run, its recipe is of another version, or an override names no field.
        """
        content = self.read_config().get("recipe", {})
        for override in overrides:
            apply_override(content, override)
        return parse_recipe(content, str(self.config_path))

    def data(self) -> Path:
        """Returns the folder of the training dataset; of a dataset at an address, the folder of its mirror.

        Raises:
            UsageError: There is no run.
        """
        return dataset_folder(self.read_config()["data"])

    def require_same(self, recipe: Recipe, data: Path) -> None:
        """Checks that the run can be resumed with a recipe on a dataset.

        Raises:
            UsageError: The dataset differs, or a field that changes the results.
        """
        for name, (old, new) in self._changes(recipe).items():
            if not name.startswith(MAY_CHANGE_ON_RESUME):
                raise UsageError(
                    f"the run in {self.folder} was started with {name} = {old!r}, not {new!r}; "
                    "resume it with the same recipe or choose another folder"
                )
        if self.read_config().get("data_sha256") != dataset_sha256(data):
            raise UsageError(
                f"the run in {self.folder} was started on another dataset than {origin_of(data) or data}"
            )

    def _changes(self, recipe: Recipe) -> dict[str, tuple[Any, Any]]:
        """Returns the fields that differ from the run's recipe, each with its old and its new value."""
        old, new = (_flat(found.model_dump(mode="json")) for found in (self.recipe(), recipe))
        return {name: (old.get(name), value) for name, value in new.items() if old.get(name) != value}


def dataset_sha256(data: Path) -> str:
    """Returns the SHA-256 of a dataset's index, which contains those of its shards."""
    return hashlib.sha256((data / INDEX_NAME).read_bytes()).hexdigest()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint under a temporary name and renames it when it is complete."""
    buffer = io.BytesIO()  # PyTorch turns the error of a full disk into one of its own; a buffer has no disk
    torch.save(state, buffer)
    with atomic_write(path) as stream:
        stream.write(buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint without executing anything in it (``weights_only``).

    Raises:
        UsageError: There is no such file.
        IebenchError: The file is broken.
    """
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}; train the run first with `iebench train`")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError) as error:
        message = f"checkpoint {path} cannot be read ({first_line(error)}); train the run again"
        raise IebenchError(message) from None


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _is_unused(folder: Path) -> bool:
    """Returns whether a folder is empty except for files of a process that was killed before it wrote a configuration."""
    return all(
        path.name.endswith(".part") or (path.name == "checkpoints" and not any(path.iterdir()))
        for path in folder.iterdir()
    )
