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
from iebench.evaluation.predictor_scores import (
    PredictorSpace,
    predictor_tasks_left_out,
    score_galleries,
    score_training,
    score_validation,
)
from iebench.evaluation.probes import Probe, ProbeInput, fit_probes, group_probes
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
from iebench.evaluation.scoring import Scores, score_neighbors, score_probe
from iebench.evaluation.splits import NO_TRAINING_SPLIT, Split, Splits
from iebench.evaluation.tasks import KNN, ProbeTask, probe_tasks
from iebench.training.processes import Processes, as_bytes, as_text

RETRIEVAL = "retrieval"


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
        inputs = {}
        if self.splits.fit:
            inputs = {name: self.splits.align(item["train"], item["val"]) for name, item in features.items()}
            self._measure_probes(waiting, inputs, kept_in)
        self._measure_others(waiting, features, inputs)

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
                for title, subject in entry.subjects.items() if not entry.evaluation.complete else ():
                    asked = self._asked(subject, title)
                    waiting += [(subject.fingerprint, *item) for item in asked if not subject.has(*item)]
        told = json.loads(self.processes.from_first(json.dumps(waiting)))
        return {(fingerprint, task, part) for fingerprint, task, part in told}

    def _asked(self, subject: Subject, title: str) -> list[tuple[str, str]]:
        """Everything that is asked of a network, by task and part.

        The predictor of an untrained network moves embeddings at random, so it is tried on validation views only.
        """
        names = [task.name for task in self.tasks]
        if "classification" in names:
            names.append(KNN)
        asked = [(name, part) for name in names for part in subject.parts]
        predictor = self._encoders[subject.fingerprint].predictor
        if predictor is None or any(item.task == RETRIEVAL for item in subject.left_out):
            return asked
        is_own = self.splits.fit is not None and self.splits.fit.folder == self.splits.test.folder
        is_told_rotation = "rotation" in predictor.groups
        is_own = is_own and title == TRAINED
        possible = {"val-val": True, "val-all": is_own and is_told_rotation, "train-train": is_own}
        return asked + [(RETRIEVAL, splits) for splits in self.config.retrieval if possible[splits]]

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
        self, waiting: set[tuple[str, str, str]], inputs: Mapping[str, ProbeInput], kept_in: Path
    ) -> None:
        """Fits all probes group by group; processes share each group."""
        probes = [
            Probe(name, part, self.subjects[name].parts[part], task)
            for task in self.tasks
            for name in inputs
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
                        found |= _keyed(probe.network, probe.task.name, probe.part, scores)
            self._record(found)

    def _measure_others(
        self,
        waiting: set[tuple[str, str, str]],
        features: Mapping[str, dict[str, Features]],
        inputs: Mapping[str, ProbeInput],
    ) -> None:
        """Measures what has nothing to fit, item by item; each process takes one of as many as there are."""
        items = sorted(item for item in waiting if item[1] in (KNN, RETRIEVAL))
        for start in range(0, len(items), self.processes.count):
            found: dict[str, PerObject] = {}
            examples: tuple[RetrievalExample, ...] = ()
            with self.processes.fail_together():
                name, task, part = ("", "", "")
                if start + self.processes.rank < len(items):
                    name, task, part = items[start + self.processes.rank]
                if task == KNN:
                    self._say(f"nearest neighbors: {part}")
                    columns, device = self.subjects[name].parts[part], self.processes.device
                    scores = score_neighbors(inputs[name], columns, self.splits.classes, self.config, device)
                    found = _keyed(name, task, part, scores)
                elif task == RETRIEVAL:
                    self._say(f"retrieval by the predictor: {part}")
                    found, examples = self._retrieve(name, part, features[name])
            told = self.processes.collect(as_bytes(json.dumps([name, [asdict(item) for item in examples]])))
            for text in told:
                owner, contents = json.loads(as_text(text))
                if contents:
                    self.subjects[owner].examples = tuple(
                        RetrievalExample(**{**item, "retrieved": tuple(item["retrieved"])})
                        for item in contents
                    )
            self._record(found)

    def _retrieve(
        self, name: str, part: str, features: Mapping[str, Features]
    ) -> tuple[dict[str, PerObject], tuple[RetrievalExample, ...]]:
        """What one predictor retrieves from one gallery."""
        predictor = self._encoders[name].predictor
        assert predictor is not None
        spaces = {
            split: PredictorSpace(predictor, some, self.splits.test.latent_names, self.processes.device)
            for split, some in features.items()
        }
        if part == "train-train":
            return _keyed(name, RETRIEVAL, part, score_training(spaces["train"])), ()
        if part == "val-all":
            both = [spaces["train"], spaces["val"]]
            return _keyed(name, RETRIEVAL, part, score_galleries(spaces["val"], both)), ()
        found: dict[str, PerObject] = {}
        measured, examples = score_validation(spaces["val"])
        for (task, place), scores in measured.items():
            found |= _keyed(name, task, place, scores)
        return found, examples

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
        names = dict.fromkeys([*(task.name for task in tasks), *(item.task for item in left_out), KNN])
        return [], [LeftOut(name, NO_TRAINING_SPLIT) for name in names]
    if splits.shares_no_class():
        classes = [task.name for task in tasks if task.target is None]
        left_out += [LeftOut(name, "the datasets share no class") for name in (*classes, KNN)]
        return [task for task in tasks if task.target is not None], left_out
    return tasks, left_out + splits.classes_left_out()


def _keyed(name: str, task: str, part: str, scores: Scores) -> dict[str, PerObject]:
    """Scores under the keys by which processes exchange them; the part stands last, since anyone names parts."""
    return {f"{name}/{task}/{metric}/{part}": score for metric, score in scores.items()}


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
