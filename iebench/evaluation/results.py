"""The result of an evaluation: typed scores of one or two networks, and the file that stores them.

A run keeps its evaluations side by side, one file for each name: ``RUN/evaluations/NAME.json``, and beside it
``NAME.objects.npz`` with what each object contributes to each score, for paired differences.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field, TypeAdapter, ValidationError

from iebench.evaluation.intervals import Estimate, PerObject, load_per_object
from iebench.evaluation.protocol import EvaluationConfig, Suite
from shards.errors import IebenchError, UsageError
from shards.files import write_text

FORMAT = 2
FOLDER = "evaluations"
TRAINED, UNTRAINED = "trained", "untrained"


class ScoreKey(NamedTuple):
    """The name of a score within one network.

    Wherever a score is stored or sent under a text, it is ``task/part/metric``, with the network before it where there
    are several: ``trained/rotation/all/r2``. A part may hold ``/``, a task and a metric may not.

    Attributes:
        task: Name of the task, such as ``rotation``.
        part: Part of the representation, such as ``all``; for retrieval, queries and gallery, such as ``val-val``.
        metric: Name of the metric, such as ``r2``.
    """

    task: str
    part: str
    metric: str

    def text(self) -> str:
        """Returns ``task/part/metric``."""
        return "/".join(self)

    def text_of(self, network: str) -> str:
        """Returns ``network/task/part/metric``."""
        return f"{network}/{self.text()}"

    @staticmethod
    def parse(text: str) -> "ScoreKey":
        """Reads what ``text`` returned."""
        task, _, rest = text.partition("/")
        part, _, metric = rest.rpartition("/")
        return ScoreKey(task, part, metric)

    @staticmethod
    def parse_of(text: str) -> "tuple[str, ScoreKey]":
        """Reads the network and the key from what ``text_of`` returned."""
        network, _, rest = text.partition("/")
        return network, ScoreKey.parse(rest)


@dataclass(frozen=True)
class Score:
    """One number of one network, under the names of its ``ScoreKey``.

    Attributes:
        network: ``trained`` or ``untrained``; an encoder that is no run counts as ``trained``.
        estimate: Number with its interval and its chance level.
    """

    network: str
    task: str
    part: str
    metric: str
    estimate: Estimate

    @property
    def key(self) -> ScoreKey:
        """The name of the score within its network."""
        return ScoreKey(self.task, self.part, self.metric)

    @property
    def stored_name(self) -> str:
        """The name of the score in ``NAME.objects.npz``."""
        return self.key.text_of(self.network)


@dataclass(frozen=True)
class LeftOut:
    """A task that could not be done, with the reason."""

    task: str
    reason: str


@dataclass(frozen=True)
class EvaluatedNetwork:
    """One network of an evaluation.

    Attributes:
        role: ``trained`` or ``untrained``; ``title`` in JSON.
        fingerprint: SHA-256 of the weights and of how images are prepared.
        dimension: Width of the representation.
        groups: Groups of transformations that its predictor is told; empty without a predictor.
    """

    role: Annotated[str, Field(alias="title")]
    encoder: str
    fingerprint: str
    dimension: int
    groups: tuple[str, ...] = ()


@dataclass(frozen=True)
class EvaluatedData:
    """A split of a dataset that an evaluation used.

    Attributes:
        location: Folder or address of the dataset; ``place`` in JSON.
        sha256: SHA-256 of the dataset's index, which holds those of its shards.
        split: ``train`` or ``val``.
        image_size: Height and width of its images in pixels.
        variant: Variant of the dataset: ``3diebench``, ``translated``, ``ood``, or another name for other latents.
    """

    location: Annotated[str, Field(alias="place")]
    sha256: str
    split: str
    objects: int
    views_per_object: int
    classes: int
    image_size: int
    variant: str


@dataclass(frozen=True)
class Evaluation:
    """All results of one evaluation.

    Attributes:
        name: Name of the evaluation in its run.
        test: Split on which everything is measured.
        fit: Split to which probes were fitted; None if there was none.
        settings: Protocol and lengths of the probes.
        networks: Networks that were evaluated, the trained one first.
        scores: Scores in the order in which they were measured.
        left_out: Tasks that could not be measured.
        complete: Whether every task of the suites that can be measured was.
        suites: Suites that were asked for.
        ood: Split outside the training range that the robustness suite used; None if there was none.
    """

    name: str
    test: EvaluatedData
    fit: EvaluatedData | None
    settings: EvaluationConfig
    networks: tuple[EvaluatedNetwork, ...] = ()
    scores: tuple[Score, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    complete: bool = False
    suites: tuple[Suite, ...] = ("standard",)
    ood: EvaluatedData | None = None

    def find(self, network: str, task: str, part: str, metric: str) -> Estimate | None:
        """Returns the estimate of one score; None if there is no such score."""
        return self.estimates_of(network).get(ScoreKey(task, part, metric))

    def estimates_of(self, network: str) -> dict[ScoreKey, Estimate]:
        """Returns the estimates of one network."""
        return {score.key: score.estimate for score in self.scores if score.network == network}

    def to_json(self) -> str:
        """Writes the evaluation as JSON without NaN or infinity."""
        content = {"format": FORMAT, **_ADAPTER.dump_python(self, mode="json", by_alias=True)}
        return json.dumps(content, indent=1, allow_nan=False) + "\n"

    @staticmethod
    def from_json(text: str) -> "Evaluation":
        """Reads an evaluation that ``to_json`` wrote.

        Raises:
            ValueError: The text is not what ``to_json`` gives.
            IebenchError: It is of another version.
        """
        content = json.loads(text)
        if not isinstance(content, dict) or "format" not in content:
            raise ValueError("it is no evaluation")
        version = content.pop("format")
        if version != FORMAT:
            raise IebenchError(f"is of format {version} and this iebench reads format {FORMAT}")
        try:
            return _ADAPTER.validate_json(json.dumps(content))
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None


_ADAPTER = TypeAdapter(Evaluation)


@dataclass(frozen=True)
class EvaluationFile:
    """The file of one evaluation in the folder of a run, or of another encoder's results."""

    folder: Path
    name: str

    @property
    def path(self) -> Path:
        return self.folder / FOLDER / f"{self.name}.json"

    @property
    def objects_path(self) -> Path:
        """Path of the file with the contributions of objects to scores."""
        return self.folder / FOLDER / f"{self.name}.objects.npz"

    def read(self) -> Evaluation:
        """Reads the evaluation.

        Raises:
            UsageError: There is none of this name.
            IebenchError: The file cannot be read, or is of another version.
        """
        try:
            return Evaluation.from_json(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise UsageError(
                f"{self.folder} has no evaluation {self.name!r}; run `iebench eval {self.folder} --data DATASET "
                f"--name {self.name}` first"
            ) from None
        except ValueError as error:
            reason = f"{self.path} cannot be read ({error})"
        except IebenchError as error:
            reason = f"{self.path} {error}"
        raise IebenchError(f"{reason}; evaluate again with --force")

    def write(self, evaluation: Evaluation) -> None:
        """Writes the evaluation whole or not at all."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, evaluation.to_json())

    def per_object(self) -> dict[str, PerObject]:
        """Reads the contributions of objects to each score, by ``Score.stored_name``; empty if none were stored."""
        return load_per_object(self.objects_path) if self.objects_path.is_file() else {}


def evaluation_names(folder: Path) -> list[str]:
    """Lists the names of the evaluations in a run's folder, the oldest first."""
    files = sorted((folder / FOLDER).glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return [path.stem for path in files]


def read_evaluation(folder: Path, name: str | None = None) -> Evaluation:
    """Reads an evaluation of a run.

    Args:
        folder: The run's folder.
        name: Name of the evaluation; by default the newest.

    Raises:
        UsageError: The run has no such evaluation, or only one of an older version.
        IebenchError: The file cannot be read.
    """
    return EvaluationFile(folder, _existing_names(folder)[-1] if name is None else name).read()


def read_evaluations(folder: Path) -> list[Evaluation]:
    """Reads all evaluations of a run, the oldest first.

    Raises:
        UsageError: The run has none, or only one of an older version.
        IebenchError: A file cannot be read.
    """
    return [EvaluationFile(folder, name).read() for name in _existing_names(folder)]


def default_name(test_location: str, fit_location: str | None = None) -> str:
    """Returns the default name of an evaluation: the dataset's, followed by that of the probes if it differs."""
    name = _last_word(test_location)
    return name if fit_location is None else f"{name}-fit-{_last_word(fit_location)}"


def checked_name(name: str) -> str:
    """Returns the name if a file can have it.

    Raises:
        UsageError: It cannot.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise UsageError(
            f"an evaluation's name is made of letters, digits, '.', '_' and '-', and {name!r} is not; choose another"
        )
    return name


def _last_word(location: str) -> str:
    words = [re.sub(r"[^A-Za-z0-9._-]+", "-", word).strip("-.") for word in location.split("/")]
    return next((word for word in reversed(words) if word), "evaluation")


def _existing_names(folder: Path) -> list[str]:
    """Lists the names of the evaluations as ``evaluation_names`` does; raises a UsageError if there is none."""
    names = evaluation_names(folder)
    if names:
        return names
    hint = f"run `iebench eval {folder} --data DATASET` first"
    if (folder / "eval.json").is_file():
        raise UsageError(
            f"{folder}/eval.json is of an older iebench, which measured other quantities; {hint}"
        )
    raise UsageError(f"{folder} has not been evaluated; {hint}")
