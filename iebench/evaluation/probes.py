"""Fits probes, which are small networks on frozen features that tell what the features hold.

Probes with as many inputs and layers of the same widths are fitted together: their weights are stacked,
and one batched product serves them all. Each is fitted as it would be alone, because Adam treats every weight by
itself and all probes draw the same views in the same order.
"""

import hashlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from iebench.evaluation.feature_rows import ROWS_AT_ONCE, FeatureRows, standardization_of
from iebench.evaluation.features import Features
from iebench.evaluation.probe_stack import ProbeStack
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.tasks import ProbeTask, targets_of
from iebench.evaluation.view_draws import pairs_of_test, train_draws
from shards.errors import IebenchError
from shards.files import atomic_write

TOP = 5
"""Number of classes that a classification probe names, best first."""
KEEP_EVERY = 60.0
"""Seconds after which a fit saves its state, from which a killed fit resumes."""


@dataclass(frozen=True)
class Probe:
    """One task for one part of one network's representation.

    Attributes:
        fingerprint: Fingerprint of the network, as a key of the inputs.
        columns: Columns (start, stop) of the part.
    """

    fingerprint: str
    part: str
    columns: tuple[int, int]
    task: ProbeTask

    @property
    def width(self) -> int:
        return self.task.views * (self.columns[1] - self.columns[0])

    @property
    def shape(self) -> tuple[Any, ...]:
        """Properties that all probes of one group share."""
        task = self.task
        return task.head, task.views, task.share, task.epochs, self.width, task.is_classification


@dataclass(frozen=True)
class ProbeInput:
    """The features of one network on both splits.

    Attributes:
        train: Features to which probes are fitted.
        val: Features on which probes are tested; labels are numbered as in ``train``, with -1 for a class it lacks.
    """

    train: Features
    val: Features


def group_probes(probes: Sequence[Probe]) -> list[list[Probe]]:
    """Groups probes that can be fitted together, in the order of the first of each group."""
    groups: dict[tuple[Any, ...], list[Probe]] = {}
    for probe in probes:
        groups.setdefault(probe.shape, []).append(probe)
    return list(groups.values())


def fit_probes(
    probes: Sequence[Probe],
    inputs: Mapping[str, ProbeInput],
    config: EvaluationConfig,
    device: torch.device,
    kept_in: Path | None = None,
) -> list[Tensor]:
    """Fits probes of one group together and applies them to the validation views.

    Args:
        probes: Group that ``group_probes`` made.
        inputs: Features by fingerprint of the network, all of the same views.
        config: Protocol and lengths of the probes.
        device: Device on which probes are fitted.
        kept_in: Folder in which a long fit saves its state, and from which it resumes.

    Returns:
        For each probe, (objects, views, outputs) float32 predictions, or (objects, views, k) int64 classes, best
        first. For two views, each validation view is the first of one pair, as ``pairs_of_test`` says.

    Raises:
        IebenchError: The loss is not finite.
    """
    fit = _Fit(probes, inputs, config, device, kept_in)
    fit.run()
    predictions = fit.predict()
    if fit.path:
        fit.path.unlink(missing_ok=True)
    return predictions


class Classified(NamedTuple):
    """Predictions of a linear probe.

    Attributes:
        classes: Likeliest class (objects, views) int64.
        confidences: Softmax (objects, views) float32 of the likeliest class.
    """

    classes: Tensor
    confidences: Tensor


def fit_classifier(
    probe: Probe, known: ProbeInput, config: EvaluationConfig, device: torch.device, kept_in: Path
) -> Callable[[Features], Classified]:
    """Fits one classification probe as ``fit_probes`` does, and keeps the saved state.

    Returns:
        A function that classifies any features of the network.

    Raises:
        IebenchError: The loss is not finite.
    """
    fit = _Fit([probe], {probe.fingerprint: known}, config, device, kept_in)
    fit.run()
    return fit.classify


def name_of_fit(probes: Sequence[Probe], config: EvaluationConfig) -> str:
    """Names the file of a fit's state by a hash of what is fitted, and how."""
    asked = [
        (probe.fingerprint, probe.columns, probe.task.name, probe.task.epochs, probe.task.share)
        for probe in probes
    ]
    content = [config.model_dump(mode="json", exclude={"workers", "feature_batch_size"}), asked]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def targets_of_test(task: ProbeTask, val: Features) -> Tensor:
    """Computes the targets of a regression probe on the validation views.

    Returns:
        (objects, views, outputs) float32, in the order of the predictions of ``fit_probes``.
    """
    first, second = pairs_of_test(val.objects, val.views)
    latents = val.latents.flatten(0, 1)
    return targets_of(task, latents[first], latents[second]).unflatten(0, (val.objects, val.views))


class _Fit:
    """The fit of one group of probes."""

    def __init__(
        self,
        probes: Sequence[Probe],
        inputs: Mapping[str, ProbeInput],
        config: EvaluationConfig,
        device: torch.device,
        kept_in: Path | None = None,
    ) -> None:
        self.probes, self.inputs, self.config, self.device = probes, inputs, config, device
        self.path = kept_in / f"{name_of_fit(probes, config)}.pt" if kept_in else None
        self.common_task = probes[0].task
        self.distinct_inputs = list(dict.fromkeys((probe.fingerprint, probe.columns) for probe in probes))
        self.input_of_probe = torch.tensor(
            [self.distinct_inputs.index((probe.fingerprint, probe.columns)) for probe in probes],
            device=device,
        )
        hidden = (config.hidden_width,) * 2 if self.common_task.head == "mlp" else ()
        self.outputs = [probe.task.outputs for probe in probes]
        self.stack = ProbeStack(probes[0].width, hidden, self.outputs).to(device)
        counts = torch.tensor(self.outputs, device=device)
        is_asked = torch.arange(max(self.outputs), device=device) < counts[:, None]
        # a mean over each probe's own outputs
        self.weights_of_outputs = (is_asked / counts[:, None])[:, None]
        self.tasks = list({probe.task.name: probe.task for probe in probes}.values())
        numbers = {task.name: number for number, task in enumerate(self.tasks)}
        self.task_of_probe = torch.tensor([numbers[probe.task.name] for probe in probes], device=device)
        example = inputs[probes[0].fingerprint]  # latents and labels are the same for every network
        self.train, self.val = example.train, example.val
        self.latents = self.train.latents.flatten(0, 1).to(device)
        self.labels = self.train.labels.repeat_interleave(self.train.views).to(device)
        self.standardizations = {
            fingerprint: standardization_of(inputs[fingerprint].train.representations, device)
            if config.protocol == "thorough"
            else None
            for fingerprint in {probe.fingerprint for probe in probes}
        }
        self.scales = [self._target_scale(task) for task in self.tasks]

    def run(self) -> None:
        """Trains all epochs, or those that a saved state lacks."""
        rows = {
            fingerprint: FeatureRows(self.inputs[fingerprint].train, self.device, standardization)
            for fingerprint, standardization in self.standardizations.items()
        }
        optimizer = torch.optim.Adam(self.stack.parameters(), lr=self.config.lr, fused=True)
        start = self._restore(optimizer)
        kept = time.monotonic()
        epochs = tqdm(
            range(start, self.common_task.epochs),
            initial=start,
            total=self.common_task.epochs,
            unit="epoch",
            desc=f"{len(self.probes)} probes ({', '.join(task.name for task in self.tasks)})",
            file=sys.stderr,
            leave=False,
            disable=None,
        )
        for epoch in epochs:
            loss = None
            for inputs, targets in self._batches(epoch, rows):
                optimizer.zero_grad(set_to_none=True)
                loss = self._loss(self.stack(inputs), targets)
                loss.backward()
                optimizer.step()
            is_last = epoch + 1 == self.common_task.epochs
            if loss is not None and (is_last or time.monotonic() - kept > KEEP_EVERY):
                if not torch.isfinite(loss):
                    raise IebenchError(
                        f"the probes of {', '.join(task.name for task in self.tasks)} diverged; use a lower "
                        "evaluation.lr or evaluation.protocol=thorough, which standardizes features"
                    )
                self._keep(epoch + 1, optimizer)
                kept = time.monotonic()

    @torch.inference_mode()
    def predict(self) -> list[Tensor]:
        """Returns the predictions of each probe for the validation views; see ``fit_probes``."""
        rows = {
            fingerprint: FeatureRows(self.inputs[fingerprint].val, self.device, standardization)
            for fingerprint, standardization in self.standardizations.items()
        }
        first, second = pairs_of_test(self.val.objects, self.val.views)
        found: list[list[Tensor]] = [[] for _ in self.probes]
        for one, two in zip(first.split(ROWS_AT_ONCE), second.split(ROWS_AT_ONCE), strict=True):
            outputs = self.stack(self._inputs(rows, one, two))
            for number, (output, count) in enumerate(zip(outputs, self.outputs, strict=True)):
                output = output[:, :count]
                if self.common_task.is_classification:
                    found[number].append(output.topk(min(TOP, count), dim=1).indices.cpu())
                else:
                    found[number].append((output * self.scales[int(self.task_of_probe[number])]).cpu())
        return [torch.cat(parts).unflatten(0, (self.val.objects, self.val.views)) for parts in found]

    @torch.inference_mode()
    def classify(self, features: Features) -> Classified:
        """Names the class of each view by the only probe of this fit."""
        fingerprint = self.probes[0].fingerprint
        rows = {fingerprint: FeatureRows(features, self.device, self.standardizations[fingerprint])}
        classes, confidences = [], []
        for chunk in torch.arange(features.objects * features.views).split(ROWS_AT_ONCE):
            likelihoods = self.stack(self._inputs(rows, chunk, chunk))[0].softmax(dim=1)
            best = likelihoods.max(dim=1)
            classes.append(best.indices.cpu())
            confidences.append(best.values.cpu())
        shape = (features.objects, features.views)
        return Classified(torch.cat(classes).unflatten(0, shape), torch.cat(confidences).unflatten(0, shape))

    def _batches(self, epoch: int, rows: Mapping[str, FeatureRows]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields the batches of an epoch: inputs (probes, batch, width), with labels or targets (probes, batch, outputs)."""
        first, second = train_draws(
            self.train.objects, self.train.views, self.config, epoch, self.common_task.share
        )
        first, second = first.to(self.device), second.to(self.device)
        targets = self._targets(first, second)
        size = self.config.batch_size
        for start in range(0, len(first), size):
            stop = start + size
            inputs = self._inputs(rows, first[start:stop], second[start:stop])
            if self.common_task.is_classification:
                yield inputs, targets[start:stop]
            else:
                yield inputs, targets[:, start:stop][self.task_of_probe]

    def _inputs(self, rows: Mapping[str, FeatureRows], first: Tensor, second: Tensor) -> Tensor:
        """Returns the inputs (probes, batch, width) of all probes."""
        views = (first, second)[: self.common_task.views]
        seen = {
            fingerprint: [network_rows[view] for view in views] for fingerprint, network_rows in rows.items()
        }
        parts = [
            torch.cat([view[:, start:stop] for view in seen[fingerprint]], dim=1)
            for fingerprint, (start, stop) in self.distinct_inputs
        ]
        return torch.stack(parts)[self.input_of_probe]

    def _targets(self, first: Tensor, second: Tensor) -> Tensor:
        """Returns labels (rows,), or targets (tasks, rows, widest output)."""
        if self.common_task.is_classification:
            return self.labels[first]
        widest = max(self.outputs)
        targets = []
        for task, scale in zip(self.tasks, self.scales, strict=True):
            found = targets_of(task, self.latents[first], self.latents[second])
            targets.append(F.pad(found / scale, (0, widest - task.outputs)))
        return torch.stack(targets)

    def _target_scale(self, task: ProbeTask) -> Tensor | float:
        """Returns the standard deviation of a standardized task's targets over the views of the first epoch; else 1."""
        if not task.is_standardized:
            return 1.0
        first, second = train_draws(self.train.objects, self.train.views, self.config, 0)
        first, second = first.to(self.device), second.to(self.device)
        deviation = targets_of(task, self.latents[first], self.latents[second]).std(dim=0, correction=0)
        return torch.where(deviation > 1e-6, deviation, 1.0)

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Computes the sum of all probes' losses, so that each probe gets the gradient of its own."""
        probes, batch, _ = outputs.shape
        if self.common_task.is_classification:
            labels = targets.expand(probes, batch).flatten()
            return F.cross_entropy(outputs.flatten(0, 1), labels, reduction="sum") / batch
        return ((outputs - targets).pow(2) * self.weights_of_outputs).sum() / batch

    def _keep(self, epochs: int, optimizer: torch.optim.Optimizer) -> None:
        if self.path is None:
            return
        buffer = io.BytesIO()
        state = {"epochs": epochs, "stack": self.stack.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, buffer)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as stream:
            stream.write(buffer.getbuffer())

    def _restore(self, optimizer: torch.optim.Optimizer) -> int:
        """Loads a saved state, and returns the number of its epochs."""
        if self.path is None or not self.path.is_file():
            return 0
        try:
            state = torch.load(self.path, map_location=self.device, weights_only=True)
            self.stack.load_state_dict(state["stack"])
            optimizer.load_state_dict(state["optimizer"])
            return int(state["epochs"])
        except Exception as error:  # a file that is cut short fails in as many ways as there are
            reason = type(error).__name__
            print(f"{self.path} cannot be read ({reason}); these probes start anew", file=sys.stderr)
            return 0
