"""A run folder: configuration, checkpoints and metrics of one training.

``config.json`` holds the whole recipe, ``checkpoints/initial.pt`` the network before training,
``checkpoints/last.pt`` the state to go on from, ``metrics.jsonl`` and ``tensorboard/`` the curves.
"""

import hashlib
import io
import json
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from iebench.recipes.recipe import Recipe, apply_override, parse_recipe
from shards.errors import IebenchError, UsageError
from shards.files import atomic_write, write_text
from shards.mirror import dataset_folder
from shards.origin import origin_of, place_of
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
"""Fields of a recipe that a run may be resumed with other values of, and whole sections."""


@dataclass(frozen=True)
class Run:
    """The folder of one run."""

    folder: Path

    @property
    def config_path(self) -> Path:
        """The configuration."""
        return self.folder / "config.json"

    @property
    def metrics_path(self) -> Path:
        """A JSON line per logged step."""
        return self.folder / "metrics.jsonl"

    @property
    def initial_checkpoint(self) -> Path:
        """The network before training: the baseline of the evaluation."""
        return self.folder / "checkpoints" / "initial.pt"

    @property
    def last_checkpoint(self) -> Path:
        """The state to go on from."""
        return self.folder / "checkpoints" / "last.pt"

    def create(self, recipe: Recipe, data: Path, index: DatasetIndex) -> None:
        """Starts a new run.

        Raises:
            UsageError: the folder is not empty.
        """
        if self.folder.exists() and not (self.folder.is_dir() and _is_unused(self.folder)):
            raise UsageError(
                f"{self.folder} is not empty; add --resume to go on with the run in it, or choose another folder"
            )
        (self.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        self.write_config(recipe, data, index)

    def write_config(self, recipe: Recipe, data: Path, index: DatasetIndex, step: int = 0) -> None:
        """Writes the whole configuration: recipe, dataset and versions, and what was changed when.

        Args:
            recipe: The recipe from now on.
            data: Folder of the dataset.
            index: Its index.
            step: The step from which the run goes on.
        """
        history: list[dict[str, Any]] = []
        if self.config_path.is_file():
            history = self.read_config().get("history", [])
            if changes := self._changes(recipe):
                now = datetime.now(UTC).isoformat(timespec="seconds")
                history.append({"step": step, "time": now, "changes": changes})
        config = {
            "recipe": recipe.model_dump(mode="json"),
            "data": place_of(data),
            "data_sha256": dataset_sha256(data),
            "dataset": index.model_copy(update={"splits": {}}).model_dump(mode="json"),
            "versions": {name: version(name) for name in ("torch", "torchvision")},
            "history": history,
        }
        write_text(self.config_path, json.dumps(config, indent=1) + "\n")

    def write_machine(self, machine: dict[str, Any]) -> None:
        """Adds to the configuration what the run is computed by from now on."""
        config = {**self.read_config(), "machine": machine}
        write_text(self.config_path, json.dumps(config, indent=1) + "\n")

    def read_config(self) -> dict[str, Any]:
        """The configuration as written.

        Raises:
            UsageError: the folder holds no run.
            IebenchError: the file cannot be read.
        """
        if not self.config_path.is_file():
            raise UsageError(f"{self.folder} holds no run (no config.json); start one with `iebench train`")
        try:
            return json.loads(self.config_path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise IebenchError(f"{self.config_path} cannot be read ({error}); train the run again") from None

    def dataset(self) -> DatasetIndex:
        """The index of the dataset that the run is trained on, without its shards.

        Raises:
            UsageError: There is no run.
            IebenchError: The configuration does not say what the dataset is.
        """
        try:
            return DatasetIndex.model_validate_json(json.dumps(self.read_config().get("dataset")))
        except ValidationError:
            raise IebenchError(
                f"{self.config_path} does not say what dataset the run is trained on; train the run again"
            ) from None

    def recipe(self, overrides: Sequence[str] = ()) -> Recipe:
        """The recipe of the run.

        Args:
            overrides: ``section.field=value`` each, for a run that goes on with other values.

        Raises:
            UsageError: there is no run, its recipe is of another version, or an override has no field.
        """
        content = self.read_config().get("recipe", {})
        for override in overrides:
            apply_override(content, override)
        return parse_recipe(content, str(self.config_path))

    def data(self) -> Path:
        """The dataset of the run: its folder, or of an address the mirror's.

        Raises:
            UsageError: there is no run.
        """
        return dataset_folder(self.read_config()["data"])

    def require_same(self, recipe: Recipe, data: Path) -> None:
        """Makes sure that a run may be resumed with ``recipe`` on ``data``.

        Raises:
            UsageError: something differs that decides the numbers.
        """
        config = self.read_config()
        for name, (old, new) in self._changes(recipe).items():
            if not name.startswith(MAY_CHANGE_ON_RESUME):
                raise UsageError(
                    f"the run in {self.folder} was started with {name} = {old!r}, not {new!r}; "
                    "resume it with the same recipe or choose another folder"
                )
        if config.get("data_sha256") != dataset_sha256(data):
            raise UsageError(
                f"the run in {self.folder} was started on another dataset than {origin_of(data) or data}"
            )

    def _changes(self, recipe: Recipe) -> dict[str, tuple[Any, Any]]:
        """The fields that differ from the run's recipe, each with its old and its new value."""
        old, new = (_flat(found.model_dump(mode="json")) for found in (self.recipe(), recipe))
        return {name: (old.get(name), value) for name, value in new.items() if old.get(name) != value}


def dataset_sha256(data: Path) -> str:
    """What a dataset is: the SHA-256 of its index, which holds those of its shards."""
    return hashlib.sha256((data / INDEX_NAME).read_bytes()).hexdigest()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes a checkpoint under a temporary name and renames it once it is whole."""
    buffer = io.BytesIO()  # PyTorch turns the error of a full disk into one of its own; a buffer has no disk
    torch.save(state, buffer)
    with atomic_write(path) as stream:
        stream.write(buffer.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint; nothing in it is executed (``weights_only``).

    Raises:
        UsageError: there is none.
        IebenchError: it is broken.
    """
    if not path.is_file():
        raise UsageError(f"there is no checkpoint {path}; train the run first with `iebench train`")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError) as error:
        first_line = str(error).strip().split("\n")[0]
        raise IebenchError(f"checkpoint {path} cannot be read ({first_line}); train the run again") from None


def _flat(content: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in content.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _is_unused(folder: Path) -> bool:
    """Whether a folder is empty, but for what a kill left before there was a configuration."""
    return all(
        path.name.endswith(".part") or (path.name == "checkpoints" and not any(path.iterdir()))
        for path in folder.iterdir()
    )
