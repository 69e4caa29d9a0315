"""One evaluation of several networks, from the frozen pass to the last score."""

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from iebench.backbones.encoder import Encoder
from iebench.evaluation.features import Features, FeatureSource, FeatureStore, extract_features
from iebench.evaluation.fingerprints import (
    fingerprint_of_encoder,
    fingerprint_of_network,
    fingerprint_of_predictor,
)
from iebench.evaluation.intervals import PerObject, load_per_object, save_per_object
from iebench.evaluation.ledger import Entry, Existing, Subject, UntrainedCache
from iebench.evaluation.predictor_scores import predictor_tasks_left_out, score_predictor
from iebench.evaluation.probes import Probe, fit_probes, group_probes
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import (
    TRAINED,
    UNTRAINED,
    EvaluatedNetwork,
    Evaluation,
    EvaluationFile,
    LeftOut,
    RetrievalExample,
)
from iebench.evaluation.scoring import score_probe
from iebench.evaluation.splits import NO_TRAINING_SPLIT, Split, Splits
from iebench.evaluation.tasks import ProbeTask, probe_tasks
from iebench.training.processes import Processes, as_bytes, as_text

RETRIEVAL, RETRIEVAL_PART = "retrieval", "val-val"


@dataclass(frozen=True)
class Request:
    """What is to be evaluated, and where its result is kept.

    Attributes:
        encoder: The encoder, called ``trained`` in the result.
        untrained: The same encoder before training, evaluated beside it; None if there is none.
        folder: Folder that gets ``evaluations/NAME.json``; None keeps nothing.
    """

    encoder: Encoder
    untrained: Encoder | None = None
    folder: Path | None = None


class Session:
    """One evaluation of several networks; every process has one, and rank 0 knows the scores.

    Args:
        splits: The datasets.
        config: Protocol and lengths.
        processes: The processes that share the work.
        name: Name of the evaluation.
    """

    def __init__(self, splits: Splits, config: EvaluationConfig, processes: Processes, name: str) -> None:
        self.splits = splits
        self.config = config
        self.processes = processes
        self.name = name
        self.tasks, self.left_out = tasks_of(splits, config)
        self.entries: list[Entry] = []
        self.subjects: dict[str, Subject] = {}
        self._encoders: dict[str, Encoder] = {}
        self._homes: dict[str, Path] = {}

    def enter(self, request: Request, features_folder: Path, existing: Existing = "keep") -> None:
        """Opens the result of a request; rank 0 takes up what is known of it.

        Args:
            request: What is evaluated.
            features_folder: Gets the features of its networks.
            existing: What becomes of a result of the same name.

        Raises:
            UsageError: A file of the same name holds another evaluation.
            IebenchError: The file cannot be read, or the encoder does not fit the images.
        """
        networks: list[EvaluatedNetwork] = []
        subjects: dict[str, Subject] = {}
        for title, encoder in ((TRAINED, request.encoder), (UNTRAINED, request.untrained)):
            if encoder is None:
                continue
            subject = subjects[title] = self._subject(encoder)
            self._homes.setdefault(subject.fingerprint, features_folder / title)
            groups = tuple(encoder.predictor.groups) if encoder.predictor else ()
            _, dimension = encoder.parts["all"]
            networks.append(EvaluatedNetwork(title, encoder.name, subject.fingerprint, dimension, groups))
        header = Evaluation(
            self.name,
            self.splits.test.describe(),
            self.splits.fit.describe() if self.splits.fit else None,
            self.config,
            tuple(networks),
            left_out=tuple(self.left_out),
        )
        file = EvaluationFile(request.folder, self.name) if request.folder else None
        entry = Entry(header, file, subjects)
        if self.processes.first:
            entry.restore(existing)
            if UNTRAINED in subjects and not entry.evaluation.complete:
                UntrainedCache(header, subjects[UNTRAINED]).restore()
        self.entries.append(entry)

    def run(self, keeps_features: bool = False) -> None:
        """Measures what is not known yet, and writes each score once it is.

        Args:
            keeps_features: Whether features are computed even if all scores are known.
        """
        waiting = self._waiting()
        needed = [name for name in self._homes if keeps_features or any(name == item[0] for item in waiting)]
        if not needed:
            return
        features = self._features(needed)
        kept_in = self._homes[needed[0]].parent / "fits"
        if self.splits.fit:
            self._measure_probes(waiting, features, kept_in)
        self._measure_predictors(waiting, features)

    def finish(self) -> list[Evaluation]:
        """Completes the results and the cache of untrained networks; all processes get the results."""
        texts = []
        with self.processes.fail_together():
            if self.processes.first:
                for entry in self.entries:
                    is_new = not entry.evaluation.complete
                    texts.append(entry.complete().to_json())
                    if is_new and UNTRAINED in entry.subjects:
                        UntrainedCache(entry.evaluation, entry.subjects[UNTRAINED]).store()
        texts = json.loads(self.processes.from_first(json.dumps(texts)))
        return [Evaluation.from_json(text) for text in texts]

    def _subject(self, encoder: Encoder) -> Subject:
        """The network of an encoder; encoders with the same weights are one."""
        test = self.splits.test
        encoder.to(self.processes.device)
        encoder.try_out(test.index.image_size)
        fingerprint = fingerprint_of_network(encoder, test.index.image_size)
        if fingerprint not in self.subjects:
            self._encoders[fingerprint] = encoder
            self.subjects[fingerprint] = Subject(
                fingerprint,
                encoder.parts,
                fingerprint_of_encoder(encoder, test.index.image_size),
                fingerprint_of_predictor(encoder),
                left_out=predictor_tasks_left_out(
                    encoder.predictor, test.latent_names, test.index.views_per_object
                ),
            )
        return self.subjects[fingerprint]

    def _waiting(self) -> set[tuple[str, str, str]]:
        """(fingerprint, task, part) of all that is not known; rank 0 says so to all."""
        waiting = []
        if self.processes.first:
            for entry in self.entries:
                for subject in [] if entry.evaluation.complete else entry.subjects.values():
                    asked = [(task.name, part) for task in self.tasks for part in subject.parts]
                    lacks_retrieval = any(item.task == RETRIEVAL for item in subject.left_out)
                    if subject.predictor_fingerprint and not lacks_retrieval:
                        asked.append((RETRIEVAL, RETRIEVAL_PART))
                    waiting += [(subject.fingerprint, *item) for item in asked if not subject.has(*item)]
        told = json.loads(self.processes.from_first(json.dumps(waiting)))
        return {(fingerprint, task, part) for fingerprint, task, part in told}

    def _features(self, needed: Sequence[str]) -> dict[str, dict[str, Features]]:
        """The features of networks by split, computed if they are not there."""
        splits = [split for split in (self.splits.fit, self.splits.test) if split]
        features: dict[str, dict[str, Features]] = {name: {} for name in needed}
        for split in splits:
            stores = {name: self._store(name, split) for name in needed}
            extract_features(
                [(self._encoders[name], store) for name, store in stores.items()],
                split.folder,
                split.index,
                split.name,
                self.config.feature_batch_size,
                self.processes,
                self.processes.device,
                self.config.workers,
            )
            with self.processes.fail_together():
                for name, store in stores.items():
                    features[name][split.name] = store.read()
        return features

    def _store(self, name: str, split: Split) -> FeatureStore:
        subject = self.subjects[name]
        described = split.describe()
        _, dimension = subject.parts["all"]
        source = FeatureSource(
            subject.encoder_fingerprint,
            described.sha256,
            split.name,
            described.objects,
            described.views_per_object,
            len(split.index.latents),
            dimension,
        )
        return FeatureStore(self._homes[name] / split.name, source)

    def _measure_probes(
        self, waiting: set[tuple[str, str, str]], features: Mapping[str, dict[str, Features]], kept_in: Path
    ) -> None:
        """Fits all probes group by group; processes share each group."""
        inputs = {name: self.splits.align(found["train"], found["val"]) for name, found in features.items()}
        probes = [
            Probe(name, part, self.subjects[name].parts[part], task)
            for task in self.tasks
            for name in features
            for part in self.subjects[name].parts
            if (name, task.name, part) in waiting
        ]
        for group in group_probes(probes):
            found: dict[str, PerObject] = {}
            with self.processes.fail_together():
                mine = group[self.processes.rank :: self.processes.count]
                names = ", ".join(dict.fromkeys(probe.task.name for probe in group))
                self._say(f"fitting {len(group)} probes: {names}")
                if mine:
                    predictions = fit_probes(mine, inputs, self.config, self.processes.device, kept_in)
                    for probe, predicted in zip(mine, predictions, strict=True):
                        used = inputs[probe.network]
                        scores = score_probe(
                            probe.task, predicted, used.train, used.val, self.splits.latent_names
                        )
                        found |= {
                            f"{probe.network}/{probe.task.name}/{metric}/{probe.part}": score
                            for metric, score in scores.items()
                        }
            self._record(found)

    def _measure_predictors(
        self, waiting: set[tuple[str, str, str]], features: Mapping[str, dict[str, Features]]
    ) -> None:
        """Measures the predictors one after the other, each in one process."""
        names = [name for name in features if (name, RETRIEVAL, RETRIEVAL_PART) in waiting]
        for number, name in enumerate(names):
            found: dict[str, PerObject] = {}
            examples: tuple[RetrievalExample, ...] = ()
            with self.processes.fail_together():
                predictor = self._encoders[name].predictor
                if number % self.processes.count == self.processes.rank and predictor is not None:
                    self._say(f"retrieval by the predictor of {self._encoders[name].name}")
                    scores, examples = score_predictor(
                        predictor, features[name]["val"], self.splits.test.latent_names, self.processes.device
                    )
                    found = {
                        f"{name}/{RETRIEVAL}/{metric}/{RETRIEVAL_PART}": score
                        for metric, score in scores.items()
                    }
            told = self.processes.collect(as_bytes(json.dumps([asdict(item) for item in examples])))
            for text in told:
                self.subjects[name].examples += tuple(
                    RetrievalExample(**{**item, "retrieved": tuple(item["retrieved"])})
                    for item in json.loads(as_text(text))
                )
            self._record(found)

    def _record(self, found: Mapping[str, PerObject]) -> None:
        """Sends what each process found to rank 0, which writes it."""
        with self.processes.fail_together():
            packed = _packed(found)
        shares = self.processes.collect(packed)
        with self.processes.fail_together():
            if not self.processes.first:
                return
            for share in shares:
                for key, score in _unpacked(share).items():
                    fingerprint, task, metric, part = key.split("/", 3)
                    self.subjects[fingerprint].known[task, part, metric] = score
            for entry in self.entries:
                entry.write()

    def _say(self, text: str) -> None:
        if self.processes.first:
            print(text, file=sys.stderr)


def tasks_of(splits: Splits, config: EvaluationConfig) -> tuple[list[ProbeTask], list[LeftOut]]:
    """The tasks that the datasets allow, and those that they do not, each with the reason."""
    tasks, left_out = probe_tasks(splits.latent_names, splits.classes, splits.views_per_object, config)
    if splits.fit is None:
        return [], left_out + [LeftOut(task.name, NO_TRAINING_SPLIT) for task in tasks]
    if splits.shares_no_class():
        classes = [task.name for task in tasks if task.target is None]
        left_out += [LeftOut(name, "the datasets share no class") for name in classes]
        return [task for task in tasks if task.target is not None], left_out
    return tasks, left_out + splits.classes_left_out()


def _packed(found: Mapping[str, PerObject]) -> Tensor:
    """Scores as (length,) uint8, for the way to another process; empty for none."""
    if not found:
        return torch.empty(0, dtype=torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        save_per_object(path, found)
        return torch.frombuffer(bytearray(path.read_bytes()), dtype=torch.uint8)


def _unpacked(content: Tensor) -> dict[str, PerObject]:
    """The reverse of ``_packed``."""
    if not len(content):
        return {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.npz"
        path.write_bytes(content.numpy().tobytes())
        return load_per_object(path)
