"""One evaluation of several networks, from the frozen pass to the last score."""

import json
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from iebench.backbones.encoder import ALL, EmbeddingPredictor, Encoder
from iebench.evaluation.corruptions import CLEAN, CORRUPTED, load_corrupt
from iebench.evaluation.feature_reader import FeatureReader
from iebench.evaluation.features import Features
from iebench.evaluation.fingerprints import (
    fingerprint_of_encoder,
    fingerprint_of_network,
    fingerprint_of_predictor,
)
from iebench.evaluation.image_suites import IMAGE_TASKS, image_tasks, image_tasks_left_out, measure_images
from iebench.evaluation.intervals import PerObject
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
    ScoreKey,
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
from iebench.evaluation.score_exchange import by_exchange_key, pack_scores, unpack_scores
from iebench.evaluation.score_store import (
    EvaluationInProgress,
    Existing,
    MissingScores,
    NetworkRecord,
    UntrainedCache,
    tasks_by_network,
)
from iebench.evaluation.scoring import score_neighbors, score_probe
from iebench.evaluation.splits import Splits
from iebench.evaluation.tasks import KNN
from iebench.training.processes import Processes

RETRIEVAL = "retrieval"
Item = TypeVar("Item")


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
    """One evaluation of several networks; every process has one, and rank 0 knows the scores."""

    def __init__(
        self,
        splits: Splits,
        config: EvaluationConfig,
        processes: Processes,
        name: str,
        suites: Sequence[Suite],
    ) -> None:
        self.splits = splits
        self.config = config
        self.processes = processes
        self.name = name
        self.suites = tuple(dict.fromkeys(suites))
        self.tasks, left_out = splits.tasks(config)
        shifts_left_out = robustness_left_out(splits) if "robustness" in suites else []
        images_left_out = image_tasks_left_out(self.suites, splits)
        self.left_out = [*(left_out if "standard" in suites else ()), *shifts_left_out, *images_left_out]
        if "robustness" in suites and not shifts_left_out:
            load_corrupt()
        self.entries: list[EvaluationInProgress] = []
        self.records: dict[str, NetworkRecord] = {}

    def enter(self, request: Request, features_folder: Path, existing: Existing) -> None:
        """Opens the result of a request; rank 0 reads the scores that are stored.

        Raises:
            UsageError: A file of the same name holds another evaluation.
            IebenchError: The file cannot be read, or the encoder does not fit the images.
        """
        networks: list[EvaluatedNetwork] = []
        records: dict[str, NetworkRecord] = {}
        for role, encoder in ((TRAINED, request.encoder), (UNTRAINED, request.untrained)):
            if encoder is None:
                continue
            record = records[role] = self._record_of(encoder, features_folder / role)
            groups = tuple(encoder.predictor.groups) if encoder.predictor else ()
            _, dimension = encoder.parts[ALL]
            networks.append(EvaluatedNetwork(role, encoder.name, record.fingerprint, dimension, groups))
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
        entry = EvaluationInProgress(header, file, records)
        if self.processes.is_first:
            entry.restore(existing)
            if UNTRAINED in records and not entry.evaluation.complete:
                UntrainedCache(header, records[UNTRAINED]).restore()
        self.entries.append(entry)

    def run(self, keeps_features: bool) -> None:
        """Measures the missing scores, and writes each one as soon as it is known.

        Features that are to be kept are computed even if all scores are known.
        """
        missing = self._missing_scores()
        self._measure_image_suites(missing)
        missing = {item for item in missing if item.task not in IMAGE_TASKS}
        asked = {item.fingerprint for item in missing}
        networks = {name: record for name, record in self.records.items() if keeps_features or name in asked}
        if not networks:
            return
        kept_in = next(iter(networks.values())).home.parent / "fits"
        features = FeatureReader(networks, self.config, self.processes, shares_features=not keeps_features)
        if self.splits.fit:
            features.read(self.splits.fit)
        if keeps_features or any(item.task not in SHIFTS for item in missing):
            features.read(self.splits.test)
            inputs = {}
            if self.splits.fit:
                inputs = {
                    fingerprint: self.splits.align(found["train"], found["val"])
                    for fingerprint, found in features.by_network.items()
                }
                self._measure_probes(missing, inputs, kept_in)
            self._measure_knn_and_retrieval(missing, features.by_network, inputs)
        self._measure_shifts(missing, features, kept_in)

    def finish(self) -> list[Evaluation]:
        """Completes the results and the cache of untrained networks, and returns the results in every process."""
        texts = []
        with self.processes.fail_together():
            if self.processes.is_first:
                for entry in self.entries:
                    is_new = not entry.evaluation.complete
                    texts.append(entry.complete().to_json())
                    if is_new and UNTRAINED in entry.records:
                        UntrainedCache(entry.evaluation, entry.records[UNTRAINED]).store()
        texts = json.loads(self.processes.broadcast_text(json.dumps(texts)))
        return [Evaluation.from_json(text) for text in texts]

    def _record_of(self, encoder: Encoder, home: Path) -> NetworkRecord:
        """Returns the record of an encoder's network; encoders with the same weights share one."""
        test = self.splits.test
        encoder.to(self.processes.device)
        encoder.try_out(test.index.image_size)
        fingerprint = fingerprint_of_network(encoder, test.index.image_size)
        if fingerprint not in self.records:
            self.records[fingerprint] = NetworkRecord(
                encoder,
                home,
                fingerprint,
                fingerprint_of_encoder(encoder, test.index.image_size),
                fingerprint_of_predictor(encoder),
                left_out=self._left_out_of(encoder.predictor),
            )
        return self.records[fingerprint]

    def _left_out_of(self, predictor: EmbeddingPredictor | None) -> list[LeftOut]:
        """Lists the tasks of the standard suite that a predictor does not allow."""
        test = self.splits.test
        left_out = predictor_tasks_left_out(predictor, test.latent_names, test.index.views_per_object)
        if predictor is not None and all(item.task != RETRIEVAL for item in left_out):
            left_out += galleries_left_out(self.config.retrieval, self.splits.is_own_training)
        return left_out

    def _missing_scores(self) -> set[MissingScores]:
        """Returns what is still to be measured, which rank 0 sends to all."""
        missing = []
        if self.processes.is_first:
            for entry in self.entries:
                for role, record in entry.records.items() if not entry.evaluation.complete else ():
                    asked = self._asked_tasks(record, role, entry.evaluation.suites)
                    missing += [(record.fingerprint, *item) for item in asked if not record.has(*item)]
        agreed = json.loads(self.processes.broadcast_text(json.dumps(missing)))
        return {MissingScores(*item) for item in agreed}

    def _asked_tasks(
        self, record: NetworkRecord, role: str, suites: Collection[Suite]
    ) -> list[tuple[str, str]]:
        """Lists all tasks and parts that are measured of a network."""
        asked = self._standard_tasks(record, role) if "standard" in suites else []
        if "robustness" in suites:
            impossible = {item.task for item in robustness_left_out(self.splits)}
            shifts = SHIFTS if self.splits.ood else (CORRUPTION,)
            asked += [(task, ALL) for task in shifts if task not in impossible]
        if role == TRAINED:
            asked += [(task, ALL) for task in image_tasks(suites, record.encoder.predictor, self.splits)]
        return asked

    def _standard_tasks(self, record: NetworkRecord, role: str) -> list[tuple[str, str]]:
        """Lists the tasks and parts that the standard suite measures of a network.

        The predictor of an untrained network moves embeddings at random, so it is measured on validation views only.
        """
        names = [task.name for task in self.tasks]
        if "classification" in names:
            names.append(KNN)
        asked = [(name, part) for name in names for part in record.encoder.parts]
        predictor = record.encoder.predictor
        if predictor is None or any(item.task == RETRIEVAL for item in record.left_out):
            return asked
        is_told_rotation = "rotation" in predictor.groups
        is_own = self.splits.is_own_training and role == TRAINED
        possible = {"val-val": True, "val-all": is_own and is_told_rotation, "train-train": is_own}
        return asked + [(RETRIEVAL, splits) for splits in self.config.retrieval if possible[splits]]

    def _measure_probes(
        self, missing: set[MissingScores], inputs: Mapping[str, ProbeInput], kept_in: Path
    ) -> None:
        """Fits all probes group by group; processes share each group."""
        probes = [
            Probe(fingerprint, part, columns, task)
            for task in self.tasks
            for fingerprint in inputs
            for part, columns in self.records[fingerprint].encoder.parts.items()
            if (fingerprint, task.name, part) in missing
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
                        used = inputs[probe.fingerprint]
                        scores = score_probe(
                            probe.task, predicted, used.train, used.val, self.splits.latent_names
                        )
                        found |= by_exchange_key(probe.fingerprint, {(probe.task.name, probe.part): scores})
            self._record(found)

    def _measure_knn_and_retrieval(
        self,
        missing: set[MissingScores],
        features: Mapping[str, dict[str, Features]],
        inputs: Mapping[str, ProbeInput],
    ) -> None:
        """Measures the tasks that need no fit; processes share them."""

        def measure(item: MissingScores) -> dict[str, PerObject]:
            fingerprint, task, part = item
            encoder, device = self.records[fingerprint].encoder, self.processes.device
            if task == RETRIEVAL:
                self._say(f"retrieval by the predictor: {part}")
                assert encoder.predictor is not None
                latents = self.splits.test.latent_names
                spaces = {
                    split: PredictorSpace(encoder.predictor, known, latents, device)
                    for split, known in features[fingerprint].items()
                }
                return by_exchange_key(fingerprint, score_retrieval(part, spaces))
            self._say(f"nearest neighbors: {part}")
            columns, classes = encoder.parts[part], self.splits.classes
            scores = score_neighbors(inputs[fingerprint], columns, classes, self.config, device)
            return by_exchange_key(fingerprint, {(task, part): scores})

        self._share_out(sorted(item for item in missing if item.task in (KNN, RETRIEVAL)), measure)

    def _measure_shifts(self, missing: set[MissingScores], features: FeatureReader, kept_in: Path) -> None:
        """Measures accuracy on corrupted views and on those outside the training range; processes share the networks."""
        asked = tasks_by_network(missing, SHIFTS)
        if not asked:
            return
        networks = list(asked)
        test, ood, views = self.splits.test, self.splits.ood, self.config.robustness_views
        features.read(test, CLEAN_VIEWS, shown_views(test, views, (CLEAN,)), networks)
        if any(CORRUPTION in tasks for tasks in asked.values()):
            features.read(test, CORRUPTION, shown_views(test, views, CORRUPTED), networks)
        if ood:
            features.read(ood, OOD, shown_views(ood, views, (CLEAN,)), networks)

        def measure(fingerprint: str) -> dict[str, PerObject]:
            self._say("robustness: fitting the linear probe")
            known, device = features.by_network[fingerprint], self.processes.device
            meter = ShiftMeter(self.splits, self.config, device, known, kept_in, fingerprint)
            found = {
                (task, part): scores
                for task in asked[fingerprint]
                for part, scores in meter.measure(task).items()
            }
            return by_exchange_key(fingerprint, found)

        self._share_out(networks, measure)

    def _measure_image_suites(self, missing: set[MissingScores]) -> None:
        """Measures tasks that encode images of their own; processes share the networks."""
        asked = tasks_by_network(missing, IMAGE_TASKS)

        def measure(fingerprint: str) -> dict[str, PerObject]:
            tasks, encoder = asked[fingerprint], self.records[fingerprint].encoder
            self._say(f"encoding for {', '.join(tasks)}")
            found = measure_images(tasks, encoder, self.splits, self.config, self.processes.device)
            return by_exchange_key(fingerprint, found)

        self._share_out(list(asked), measure)

    def _share_out(self, items: Sequence[Item], measure: Callable[[Item], dict[str, PerObject]]) -> None:
        """Measures each item in one process; the processes take items in turn, and record scores after each round."""
        for start in range(0, len(items), self.processes.count):
            found: dict[str, PerObject] = {}
            with self.processes.fail_together():
                number = start + self.processes.rank
                if number < len(items):
                    found = measure(items[number])
            self._record(found)

    def _record(self, found: Mapping[str, PerObject]) -> None:
        """Sends the scores of each process to rank 0, which writes them."""
        with self.processes.fail_together():
            content = pack_scores(found)
        shares = self.processes.gather_rows(content)
        with self.processes.fail_together():
            if not self.processes.is_first:
                return
            for share in shares:
                for text, score in unpack_scores(share).items():
                    fingerprint, key = ScoreKey.parse_of(text)
                    self.records[fingerprint].known[key] = score
            for entry in self.entries:
                entry.write()

    def _say(self, text: str) -> None:
        if self.processes.is_first:
            print(text, file=sys.stderr)
