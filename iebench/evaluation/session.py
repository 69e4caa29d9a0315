"""One evaluation of several networks, from the frozen pass to the last score."""

import json
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from iebench.backbones.encoder import ALL, EmbeddingPredictor, Encoder
from iebench.evaluation.corruptions import CLEAN, CORRUPTED, load_corrupt
from iebench.evaluation.feature_reader import FeatureReader, SourceNetwork
from iebench.evaluation.features import Features
from iebench.evaluation.fingerprints import (
    fingerprint_of_encoder,
    fingerprint_of_network,
    fingerprint_of_predictor,
)
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.ledger import Entry, Existing, NetworkRecord, UntrainedCache
from iebench.evaluation.own_passes import OWN_TASKS, measure_own, own_left_out, own_tasks
from iebench.evaluation.predictor_scores import (
    PredictorSpace,
    galleries_left_out,
    predictor_tasks_left_out,
    score_retrieval,
)
from iebench.evaluation.probes import Probe, ProbeInput, fit_probes, group_probes
from iebench.evaluation.protocol import EvaluationConfig, Suite
from iebench.evaluation.results import (
    TRAINED,
    UNTRAINED,
    EvaluatedNetwork,
    Evaluation,
    EvaluationFile,
    LeftOut,
)
from iebench.evaluation.robustness import (
    CLEAN_VIEWS,
    CORRUPTION,
    OOD,
    SHIFTS,
    ShiftMeter,
    robustness_left_out,
    shown_views,
)
from iebench.evaluation.score_exchange import keyed, packed, unpacked
from iebench.evaluation.scoring import score_neighbors, score_probe
from iebench.evaluation.splits import Splits
from iebench.evaluation.tasks import KNN
from iebench.training.processes import Processes

RETRIEVAL = "retrieval"


@dataclass(frozen=True)
class Request:
    """One encoder to evaluate, and the folder of its result.

    Attributes:
        encoder: Encoder, called ``trained`` in the result.
        untrained: Encoder before training, evaluated beside the other; None if there is none.
        folder: Folder in which ``evaluations/NAME.json`` is written; None keeps nothing.
    """

    encoder: Encoder
    untrained: Encoder | None = None
    folder: Path | None = None


class Session:
    """One evaluation of several networks; every process has one, and rank 0 knows the scores.

    Args:
        splits: Splits of the evaluation.
        config: Protocol and lengths of the probes.
        processes: Processes that share the work.
        name: Name of the evaluation.
        suites: Suites to measure.
    """

    def __init__(
        self,
        splits: Splits,
        config: EvaluationConfig,
        processes: Processes,
        name: str,
        suites: Sequence[Suite] = ("standard",),
    ) -> None:
        self.splits = splits
        self.config = config
        self.processes = processes
        self.name = name
        self.suites = tuple(dict.fromkeys(suites))
        self.tasks, left_out = splits.tasks(config)
        shifts_left_out = robustness_left_out(splits) if "robustness" in suites else []
        of_own = own_left_out(self.suites, splits)
        self.left_out = [*(left_out if "standard" in suites else ()), *shifts_left_out, *of_own]
        if "robustness" in suites and not shifts_left_out:
            load_corrupt()
        self.entries: list[Entry] = []
        self.subjects: dict[str, NetworkRecord] = {}
        self._encoders: dict[str, Encoder] = {}
        self._homes: dict[str, Path] = {}

    def enter(self, request: Request, features_folder: Path, existing: Existing = "keep") -> None:
        """Opens the result of a request; rank 0 reads the scores that are stored.

        Args:
            request: Encoder and folder.
            features_folder: Folder for the features of the networks.
            existing: Treatment of an earlier evaluation of the same name.

        Raises:
            UsageError: A file of the same name holds another evaluation.
            IebenchError: The file cannot be read, or the encoder does not fit the images.
        """
        networks: list[EvaluatedNetwork] = []
        subjects: dict[str, NetworkRecord] = {}
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
            suites=self.suites,
            ood=self.splits.ood.describe() if self.splits.ood else None,
        )
        file = EvaluationFile(request.folder, self.name) if request.folder else None
        entry = Entry(header, file, subjects)
        if self.processes.is_first:
            entry.restore(existing)
            if UNTRAINED in subjects and not entry.evaluation.complete:
                UntrainedCache(header, subjects[UNTRAINED]).restore()
        self.entries.append(entry)

    def run(self, keeps_features: bool = False) -> None:
        """Measures the missing scores, and writes each one as soon as it is known.

        Args:
            keeps_features: Whether to compute features even if all scores are known.
        """
        everything = self._waiting()
        self._measure_own(everything)
        waiting = {item for item in everything if item[1] not in OWN_TASKS}
        needed = [name for name in self._homes if keeps_features or any(name == item[0] for item in waiting)]
        if not needed:
            return
        kept_in = self._homes[needed[0]].parent / "fits"
        features = FeatureReader(
            {name: self._source_network(name) for name in needed},
            self.config,
            self.processes,
            shares_features=not keeps_features,
        )
        if self.splits.fit:
            features.read(self.splits.fit)
        if keeps_features or any(task not in SHIFTS for _, task, _ in waiting):
            features.read(self.splits.test)
            inputs = {}
            if self.splits.fit:
                inputs = {
                    name: self.splits.align(item["train"], item["val"]) for name, item in features.of.items()
                }
                self._measure_probes(waiting, inputs, kept_in)
            self._measure_others(waiting, features.of, inputs)
        self._measure_shifts(waiting, features, kept_in)

    def finish(self) -> list[Evaluation]:
        """Completes the results and the cache of untrained networks, and returns the results in every process."""
        texts = []
        with self.processes.fail_together():
            if self.processes.is_first:
                for entry in self.entries:
                    is_new = not entry.evaluation.complete
                    texts.append(entry.complete().to_json())
                    if is_new and UNTRAINED in entry.subjects:
                        UntrainedCache(entry.evaluation, entry.subjects[UNTRAINED]).store()
        texts = json.loads(self.processes.broadcast_text(json.dumps(texts)))
        return [Evaluation.from_json(text) for text in texts]

    def _subject(self, encoder: Encoder) -> NetworkRecord:
        """Returns the record of an encoder's network; encoders with the same weights share one."""
        test = self.splits.test
        encoder.to(self.processes.device)
        encoder.try_out(test.index.image_size)
        fingerprint = fingerprint_of_network(encoder, test.index.image_size)
        if fingerprint not in self.subjects:
            self._encoders[fingerprint] = encoder
            self.subjects[fingerprint] = NetworkRecord(
                fingerprint,
                encoder.parts,
                fingerprint_of_encoder(encoder, test.index.image_size),
                fingerprint_of_predictor(encoder),
                left_out=self._left_out_of(encoder.predictor),
            )
        return self.subjects[fingerprint]

    def _left_out_of(self, predictor: EmbeddingPredictor | None) -> list[LeftOut]:
        """Lists the tasks of the standard suite that a predictor does not allow."""
        test = self.splits.test
        left_out = predictor_tasks_left_out(predictor, test.latent_names, test.index.views_per_object)
        if predictor is not None and all(item.task != RETRIEVAL for item in left_out):
            left_out += galleries_left_out(self.config.retrieval, self.splits.is_own_training)
        return left_out

    def _source_network(self, name: str) -> SourceNetwork:
        record = self.subjects[name]
        _, dimension = record.parts[ALL]
        return SourceNetwork(self._encoders[name], record.encoder_fingerprint, dimension, self._homes[name])

    def _waiting(self) -> set[tuple[str, str, str]]:
        """Returns (fingerprint, task, part) of all missing scores, which rank 0 sends to all."""
        waiting = []
        if self.processes.is_first:
            for entry in self.entries:
                for title, subject in entry.subjects.items() if not entry.evaluation.complete else ():
                    asked = self._asked(subject, title, entry.evaluation.suites)
                    waiting += [(subject.fingerprint, *item) for item in asked if not subject.has(*item)]
        told = json.loads(self.processes.broadcast_text(json.dumps(waiting)))
        return {(fingerprint, task, part) for fingerprint, task, part in told}

    def _asked(self, subject: NetworkRecord, title: str, suites: Collection[Suite]) -> list[tuple[str, str]]:
        """Lists all tasks and parts that are measured of a network."""
        asked = self._asked_as_usual(subject, title) if "standard" in suites else []
        if "robustness" in suites:
            impossible = {item.task for item in robustness_left_out(self.splits)}
            shifts = SHIFTS if self.splits.ood else (CORRUPTION,)
            asked += [(task, ALL) for task in shifts if task not in impossible]
        if title == TRAINED:
            predictor = self._encoders[subject.fingerprint].predictor
            asked += [(task, ALL) for task in own_tasks(suites, predictor, self.splits)]
        return asked

    def _asked_as_usual(self, subject: NetworkRecord, title: str) -> list[tuple[str, str]]:
        """Lists the tasks and parts that the standard suite measures of a network.

        The predictor of an untrained network moves embeddings at random, so it is measured on validation views only.
        """
        names = [task.name for task in self.tasks]
        if "classification" in names:
            names.append(KNN)
        asked = [(name, part) for name in names for part in subject.parts]
        predictor = self._encoders[subject.fingerprint].predictor
        if predictor is None or any(item.task == RETRIEVAL for item in subject.left_out):
            return asked
        is_told_rotation = "rotation" in predictor.groups
        is_own = self.splits.is_own_training and title == TRAINED
        possible = {"val-val": True, "val-all": is_own and is_told_rotation, "train-train": is_own}
        return asked + [(RETRIEVAL, splits) for splits in self.config.retrieval if possible[splits]]

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
                        found |= keyed(probe.network, probe.task.name, probe.part, scores)
            self._record(found)

    def _measure_others(
        self,
        waiting: set[tuple[str, str, str]],
        features: Mapping[str, dict[str, Features]],
        inputs: Mapping[str, ProbeInput],
    ) -> None:
        """Measures tasks without a fit; each process takes every n-th of them, for n processes."""
        items = sorted(item for item in waiting if item[1] in (KNN, RETRIEVAL))
        for start in range(0, len(items), self.processes.count):
            found: dict[str, PerObject] = {}
            with self.processes.fail_together():
                name, task, part = ("", "", "")
                if start + self.processes.rank < len(items):
                    name, task, part = items[start + self.processes.rank]
                if task == KNN:
                    self._say(f"nearest neighbors: {part}")
                    columns, device = self.subjects[name].parts[part], self.processes.device
                    scores = score_neighbors(inputs[name], columns, self.splits.classes, self.config, device)
                    found = keyed(name, task, part, scores)
                elif task == RETRIEVAL:
                    self._say(f"retrieval by the predictor: {part}")
                    found = self._retrieve(name, part, features[name])
            self._record(found)

    def _measure_shifts(
        self, waiting: set[tuple[str, str, str]], features: FeatureReader, kept_in: Path
    ) -> None:
        """Measures accuracy on corrupted views and on those outside the training range; processes share the networks."""
        asked = sorted((name, task) for name, task, _ in waiting if task in SHIFTS)
        if not asked:
            return
        names = list(dict.fromkeys(name for name, _ in asked))
        test, ood, views = self.splits.test, self.splits.ood, self.config.robustness_views
        features.read(test, CLEAN_VIEWS, shown_views(test, views, (CLEAN,)), names)
        if any(task == CORRUPTION for _, task in asked):
            features.read(test, CORRUPTION, shown_views(test, views, CORRUPTED), names)
        if ood:
            features.read(ood, OOD, shown_views(ood, views, (CLEAN,)), names)
        for start in range(0, len(names), self.processes.count):
            found: dict[str, PerObject] = {}
            with self.processes.fail_together():
                if start + self.processes.rank < len(names):
                    name = names[start + self.processes.rank]
                    self._say("robustness: fitting the linear probe")
                    meter = ShiftMeter(
                        self.splits, self.config, self.processes.device, features.of[name], kept_in, name
                    )
                    for task in (task for owner, task in asked if owner == name):
                        for part, scores in meter.measure(task).items():
                            found |= keyed(name, task, part, scores)
            self._record(found)

    def _measure_own(self, waiting: set[tuple[str, str, str]]) -> None:
        """Measures tasks that encode images of their own; processes share the networks."""
        asked = sorted((name, task) for name, task, _ in waiting if task in OWN_TASKS)
        names = list(dict.fromkeys(name for name, _ in asked))
        for start in range(0, len(names), self.processes.count):
            found: dict[str, PerObject] = {}
            with self.processes.fail_together():
                if start + self.processes.rank < len(names):
                    name = names[start + self.processes.rank]
                    tasks = [task for owner, task in asked if owner == name]
                    self._say(f"encoding for {', '.join(tasks)}")
                    encoder, device = self._encoders[name], self.processes.device
                    for task, part, scores in measure_own(tasks, encoder, self.splits, self.config, device):
                        found |= keyed(name, task, part, scores)
            self._record(found)

    def _retrieve(self, name: str, part: str, features: Mapping[str, Features]) -> dict[str, PerObject]:
        """Scores what one predictor retrieves from one gallery."""
        predictor = self._encoders[name].predictor
        assert predictor is not None
        latents, device = self.splits.test.latent_names, self.processes.device
        spaces = {split: PredictorSpace(predictor, some, latents, device) for split, some in features.items()}
        found: dict[str, PerObject] = {}
        for (task, place), scores in score_retrieval(part, spaces).items():
            found |= keyed(name, task, place, scores)
        return found

    def _record(self, found: Mapping[str, PerObject]) -> None:
        """Sends the scores of each process to rank 0, which writes them."""
        with self.processes.fail_together():
            content = packed(found)
        shares = self.processes.gather_rows(content)
        with self.processes.fail_together():
            if not self.processes.is_first:
                return
            for share in shares:
                for key, score in unpacked(share).items():
                    fingerprint, task, metric, part = key.split("/", 3)
                    self.subjects[fingerprint].known[task, part, metric] = score
            for entry in self.entries:
                entry.write()

    def _say(self, text: str) -> None:
        if self.processes.is_first:
            print(text, file=sys.stderr)
