"""Keeps the scores of evaluations under way: reads them back from files, and writes each new score at once."""

import hashlib
import json
import sys
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from iebench.backbones.encoder import Encoder
from iebench.evaluation.intervals import Estimate, PerObject, bootstrap_all, save_per_object
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import Evaluation, EvaluationFile, LeftOut, Score, ScoreKey
from iebench.methods.parts import transformations
from shards.errors import UsageError
from shards.origin import cache_root

Existing = Literal["keep", "replace", "redo"]
"""Treatment of an earlier evaluation of the same name: ``keep`` resumes it and refuses one with other settings,
``replace`` resumes it and replaces one with other settings, ``redo`` begins anew."""

_DECIDES_NO_NUMBER = {"feature_batch_size", "workers"}
OOD = "ood"
"""The task of views outside the training range."""


@dataclass
class NetworkRecord:
    """One network under evaluation, with all scores that are known of it.

    Attributes:
        encoder: The network, on the device of this process.
        home: Folder in which its features are kept.
        fingerprint: Hash that ``fingerprint_of_network`` gives.
        known: Contributions of objects to each known score.
        left_out: Tasks of the standard suite that the dataset allows but this network does not.
    """

    encoder: Encoder
    home: Path
    fingerprint: str
    encoder_fingerprint: str
    predictor_fingerprint: str
    known: dict[ScoreKey, PerObject] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    _estimates: dict[ScoreKey, Estimate] = field(default_factory=dict)

    def has(self, task: str, part: str) -> bool:
        """Returns whether a task is done; all of its metrics become known together."""
        return any((key.task, key.part) == (task, part) for key in self.known)

    def estimates(self) -> dict[ScoreKey, Estimate]:
        """Returns all scores with their intervals, each of which is computed once."""
        new = {key.text(): key for key in self.known if key not in self._estimates}
        for name, bootstrap in bootstrap_all({name: self.known[key] for name, key in new.items()}).items():
            self._estimates[new[name]] = bootstrap.estimate()
        return {key: self._estimates[key] for key in self.known}


class MissingScores(NamedTuple):
    """The scores of one task and part of a network that are still to be measured; all metrics become known together."""

    fingerprint: str
    task: str
    part: str


def tasks_by_network(missing: Collection[MissingScores], tasks: Collection[str]) -> dict[str, list[str]]:
    """Returns which of the given tasks are missing, by the fingerprint of the network."""
    found: dict[str, list[str]] = {}
    for item in sorted(missing):
        if item.task in tasks:
            found.setdefault(item.fingerprint, []).append(item.task)
    return found


@dataclass
class EvaluationInProgress:
    """An evaluation that is being written, with the network behind each role.

    Attributes:
        evaluation: Header of the evaluation; scores are filled in when it is written.
        file: File of the evaluation; None if only the caller gets it.
        records: Networks by role, the trained one first.
    """

    evaluation: Evaluation
    file: EvaluationFile | None
    records: dict[str, NetworkRecord]

    def restore(self, existing: Existing) -> None:
        """Reads the scores of the same evaluation from the file, if it exists.

        Raises:
            UsageError: The file holds another evaluation.
            IebenchError: The file cannot be read.
        """
        if self.file is None or not self.file.path.exists():
            return
        if existing == "redo":
            self._discard()
            return
        found = self.file.read()
        difference = difference_between(found, self.evaluation)
        if difference and existing == "replace":
            self._discard()
            return
        if difference:
            raise UsageError(
                f"{self.file.path} holds another evaluation ({difference}); choose another --name, or replace it "
                "with --force"
            )
        suites = (*found.suites, *(suite for suite in self.evaluation.suites if suite not in found.suites))
        is_new = suites != found.suites or (self.evaluation.ood is not None and found.ood is None)
        if found.complete and not is_new:
            print(
                f"{self.file.path} is complete and is not measured again; --force measures all of it anew, with any "
                "metric that this iebench adds",
                file=sys.stderr,
            )
            self.evaluation = found
            return
        left_out = tuple(dict.fromkeys((*found.left_out, *self.evaluation.left_out)))
        has_ood = any(score.task == OOD for score in found.scores)
        ood = self.evaluation.ood or (found.ood if has_ood else None)
        self.evaluation = replace(self.evaluation, suites=suites, left_out=left_out, ood=ood)
        contributions = self.file.per_object()
        for score in found.scores:
            record = self.records.get(score.network)
            if record is not None and score.stored_name in contributions:
                record.known[score.key] = contributions[score.stored_name]

    def _discard(self) -> None:
        assert self.file is not None
        self.file.path.unlink()
        self.file.objects_path.unlink(missing_ok=True)

    def result(self) -> Evaluation:
        """Returns the evaluation with all known scores."""
        if self.evaluation.complete:
            return self.evaluation
        scores = [
            Score(role, *key, estimate)
            for role, record in self.records.items()
            for key, estimate in record.estimates().items()
        ]
        trained = next(iter(self.records.values()))
        of_network = trained.left_out if "standard" in self.evaluation.suites else ()
        left_out = dict.fromkeys((*self.evaluation.left_out, *of_network))
        return replace(self.evaluation, scores=tuple(scores), left_out=tuple(left_out))

    def write(self) -> None:
        """Writes the contributions of objects, and then the scores."""
        if self.file is None or self.evaluation.complete:
            return
        result = self.result()
        self.file.path.parent.mkdir(parents=True, exist_ok=True)
        contributions = {
            score.stored_name: self.records[score.network].known[score.key] for score in result.scores
        }
        save_per_object(self.file.objects_path, contributions)
        self.file.write(result)

    def complete(self) -> Evaluation:
        """Writes the file a last time and returns the result."""
        result = replace(self.result(), complete=True)
        if not self.evaluation.complete and self.file is not None:
            self.write()
            self.file.write(result)
        self.evaluation = result
        return result


def difference_between(found: Evaluation, wanted: Evaluation) -> str:
    """Says in what a stored evaluation differs from the wanted one; empty if it does not."""
    if found.test.sha256 != wanted.test.sha256:
        return f"on the dataset {found.test.location}"
    if (found.fit and found.fit.sha256) != (wanted.fit and wanted.fit.sha256):
        return f"with probes fitted to {found.fit.location if found.fit else 'nothing'}"
    if found.ood and wanted.ood and found.ood.sha256 != wanted.ood.sha256:
        return f"with --ood {found.ood.location}"
    old, new = deciding_settings(found.settings), deciding_settings(wanted.settings)
    for name, value in old.items():
        if new.get(name) != value:
            return f"with evaluation.{name} = {value!r}"
    networks = [
        {item.role: item.fingerprint for item in evaluation.networks} for evaluation in (found, wanted)
    ]
    return "of other weights" if networks[0] != networks[1] else ""


def deciding_settings(settings: EvaluationConfig) -> dict[str, object]:
    """Returns the settings that scores depend on."""
    return settings.model_dump(mode="json", exclude=_DECIDES_NO_NUMBER)


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Computes the SHA-256 of the code that measures."""
    folder = Path(__file__).parent
    digest = hashlib.sha256()
    for path in [*sorted(folder.glob("*.py")), Path(transformations.__file__)]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()


class UntrainedCache:
    """A cache of the scores of untrained networks, which are the same for every run of one backbone, seed and dataset.

    The file name contains a hash of the code that measures, so that scores measured by other code are not used.
    """

    def __init__(self, evaluation: Evaluation, record: NetworkRecord) -> None:
        content = [
            code_sha256(),
            record.encoder_fingerprint,
            evaluation.test.sha256,
            evaluation.fit.sha256 if evaluation.fit else None,
            deciding_settings(evaluation.settings),
        ]
        name = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
        self._file = EvaluationFile(cache_root() / "untrained", name)
        self._record = record

    def restore(self) -> None:
        """Reads the cached scores."""
        for name, contribution in self._cached().items():
            key = ScoreKey.parse(name)
            for part in self._parts_at(key.part):
                self._record.known.setdefault(key._replace(part=part), contribution)

    def store(self) -> None:
        """Adds the known scores to the cache."""
        cached = self._cached()
        for key, contribution in self._record.known.items():
            if key.task != OOD:  # which is measured on a dataset that the cache's key does not name
                cached[key._replace(part=self._stored_part(key.part)).text()] = contribution
        self._file.objects_path.parent.mkdir(parents=True, exist_ok=True)
        save_per_object(self._file.objects_path, cached)

    def _cached(self) -> dict[str, PerObject]:
        """Reads the file; one that cannot be read is removed."""
        try:
            return self._file.per_object()
        except (OSError, ValueError, KeyError):
            self._file.objects_path.unlink(missing_ok=True)
            return {}

    def _stored_part(self, part: str) -> str:
        """Names a part in the cache by its columns, since names differ between methods; a gallery has the predictor's hash."""
        if part in self._record.encoder.parts:
            start, stop = self._record.encoder.parts[part]
            return f"{start}-{stop}"
        return f"{self._record.predictor_fingerprint}/{part}"

    def _parts_at(self, stored_part: str) -> list[str]:
        """Lists the network's parts that a name of the cache stands for."""
        fingerprint, is_gallery, gallery = stored_part.partition("/")
        if is_gallery:
            return [gallery] if fingerprint == self._record.predictor_fingerprint else []
        return [part for part in self._record.encoder.parts if self._stored_part(part) == stored_part]
