"""Probes: small networks on frozen features that tell what the features hold.

Probes that see as many numbers and have layers of the same widths are fitted together: their weights are stacked,
and one batched product serves them all. Each is fitted as it would be alone, because Adam treats every weight by
itself and all probes draw the same views in the same order.
"""

import hashlib
import io
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from iebench.evaluation.features import Features
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.tasks import ProbeTask, targets_of
from shards.errors import IebenchError
from shards.files import atomic_write

TOP = 5
"""Classes that a classification probe names, best first."""
KEEP_EVERY = 60.0
"""Seconds after which a fit keeps its state, so that a killed one goes on."""
_TEST_ROWS = 4096
_SHARE_OF_MEMORY = 0.6
"""Share of the free device memory that features of one network may take; else they stay on the host."""


@dataclass(frozen=True)
class Probe:
    """A task asked of one part of one network's representation.

    Attributes:
        network: Which network, as a key of the inputs.
        part: Name of the part.
        columns: First column of the part, and the column behind its last.
        task: What is asked.
    """

    network: str
    part: str
    columns: tuple[int, int]
    task: ProbeTask

    @property
    def width(self) -> int:
        """Numbers that the probe sees."""
        return self.task.views * (self.columns[1] - self.columns[0])

    @property
    def shape(self) -> tuple[Any, ...]:
        """What probes that are fitted together have in common."""
        task = self.task
        is_class = task.target is None
        return task.head, task.views, task.share, task.epochs, self.width, is_class


@dataclass(frozen=True)
class ProbeInput:
    """The features of one network that probes see.

    Attributes:
        train: Features to which probes are fitted.
        val: Features on which probes are tested; labels are those of ``train``, -1 for a class that it lacks.
    """

    train: Features
    val: Features


def group_probes(probes: Sequence[Probe]) -> list[list[Probe]]:
    """The probes that can be fitted together, in the order of the first of each group."""
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
        probes: One of the groups of ``group_probes``.
        inputs: Features by network; all networks have seen the same views.
        config: Protocol and lengths.
        device: Where probes are fitted.
        kept_in: Folder for the state of a fit that takes long; the fit goes on from what is there.

    Returns:
        For each probe, (objects, views, outputs) float32 predictions, or (objects, views, k) int64 classes, best
        first. For two views, each validation view is the first of one pair, as ``pairs_of_test`` says.

    Raises:
        IebenchError: The loss is not finite.
    """
    fit = _Fit(probes, inputs, config, device)
    path = kept_in / f"{name_of_fit(probes, config)}.pt" if kept_in else None
    fit.run(path)
    predictions = fit.predict()
    if path:
        path.unlink(missing_ok=True)
    return predictions


def name_of_fit(probes: Sequence[Probe], config: EvaluationConfig) -> str:
    """The name under which the state of a fit is kept: a hash of what it fits, and how."""
    asked = [
        (probe.network, probe.columns, probe.task.name, probe.task.epochs, probe.task.share)
        for probe in probes
    ]
    content = [config.model_dump(mode="json", exclude={"workers", "feature_batch_size"}), asked]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def targets_of_test(task: ProbeTask, val: Features) -> Tensor:
    """What a regression probe should predict on validation.

    Returns:
        (objects, views, outputs) float32, in the order of the predictions of ``fit_probes``.
    """
    first, second = pairs_of_test(val.objects, val.views)
    latents = val.latents.flatten(0, 1)
    return targets_of(task, latents[first], latents[second]).unflatten(0, (val.objects, val.views))


def pairs_of_test(objects: int, views: int) -> tuple[Tensor, Tensor]:
    """The pairs on which probes are tested: every view with another view of its object, drawn once for all.

    Returns:
        Rows of first and second views, (objects * views,) each.
    """
    first = torch.arange(objects * views)
    return first, _partners(first, views, torch.Generator().manual_seed(1))


def train_draws(
    objects: int, views: int, config: EvaluationConfig, epoch: int, share: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The views that an epoch shows, a function of its arguments alone.

    By the published protocol an epoch shows one random view of each object, with another of its views beside it;
    by the thorough one, every view. Probes of single views take the first.

    Args:
        objects: Number of objects.
        views: Views of each object.
        config: Names the protocol.
        epoch: Number of the epoch.
        share: Share of the objects that are shown, the same in each epoch; at least one object is.

    Returns:
        Rows of first and second views in random order, one dimension each.
    """
    generator = torch.Generator().manual_seed(epoch)
    chosen = torch.arange(objects)
    if share < 1:
        count = max(1, round(share * objects))
        chosen = torch.randperm(objects, generator=torch.Generator().manual_seed(0))[:count].sort().values
    if config.protocol == "published":
        first = chosen * views + torch.randint(views, (len(chosen),), generator=generator)
    else:
        first = (chosen[:, None] * views + torch.arange(views)).flatten()
    second = _partners(first, views, generator)
    order = torch.randperm(len(first), generator=generator)
    return first[order], second[order]


def _partners(first: Tensor, views: int, generator: torch.Generator) -> Tensor:
    """Another view of the same object for each row; the view itself if there is no other."""
    if views < 2:
        return first
    shift = torch.randint(1, views, first.shape, generator=generator)
    return first - first % views + (first % views + shift) % views


class ProbeStack(nn.Module):
    """Probes with layers of the same widths, whose weights are stacked.

    Each starts as ``nn.Linear`` layers do right after ``torch.manual_seed(0)``. Probes with fewer outputs than the
    widest have columns that no loss reaches.

    Args:
        width: Numbers that each probe sees.
        hidden: Widths of the hidden layers; empty for linear probes.
        outputs: Numbers that each probe gives.
    """

    def __init__(self, width: int, hidden: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        widest = max(outputs)
        started = [_layers((width, *hidden, count)) for count in outputs]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for number in range(len(hidden) + 1):
            layers = [probe[number] for probe in started]
            padding = [widest - count if number == len(hidden) else 0 for count in outputs]
            pairs = list(zip(layers, padding, strict=True))
            self.weights.append(torch.stack([F.pad(layer.weight.T, (0, more)) for layer, more in pairs]))
            self.biases.append(torch.stack([F.pad(layer.bias, (0, more))[None] for layer, more in pairs]))

    def forward(self, inputs: Tensor) -> Tensor:
        """Applies each probe to its own rows.

        Args:
            inputs: (probes, batch, width).

        Returns:
            (probes, batch, widest output).
        """
        for number, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            inputs = torch.baddbmm(bias, F.relu(inputs) if number else inputs, weight)
        return inputs


def _layers(widths: Sequence[int]) -> list[nn.Linear]:
    """Linear layers as they start right after ``torch.manual_seed(0)``; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        return [
            nn.Linear(width_in, width_out).requires_grad_(False) for width_in, width_out in pairwise(widths)
        ]


class Standardization(NamedTuple):
    """Mean and deviation of each column of the training features; (dimension,) float32 each.

    A column that is constant in training is not scaled: what little it does in validation would drown the rest.
    """

    mean: Tensor
    deviation: Tensor


def standardization_of(representations: Tensor, device: torch.device) -> Standardization:
    """Computes mean and deviation in chunks, in float64.

    Args:
        representations: (objects, views, dimension).
        device: Where they are put.
    """
    dimension = representations.shape[-1]
    total, squares = torch.zeros(2, dimension, dtype=torch.float64)
    shift = representations[0, 0].double()
    for chunk in representations.flatten(0, 1).split(_TEST_ROWS):
        centered = chunk.double() - shift
        total += centered.sum(dim=0)
        squares += centered.pow(2).sum(dim=0)
    count = representations.shape[:-1].numel()
    mean = total / count
    variance = (squares - count * mean**2).clamp(min=0) / max(1, count - 1)
    deviation = variance.sqrt()
    deviation = torch.where(deviation > 1e-6, deviation, 1.0)
    return Standardization((mean + shift).float().to(device), deviation.float().to(device))


class _Rows:
    """Rows of one split's features: on the device if they fit there, else fetched from the host."""

    def __init__(
        self, features: Features, device: torch.device, standardization: Standardization | None
    ) -> None:
        self._rows = features.representations.flatten(0, 1)
        self._device = device
        self._standardization = standardization
        if device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(device)
            if self._rows.numel() * self._rows.element_size() < _SHARE_OF_MEMORY * free:
                self._rows = self._rows.to(device)

    def __getitem__(self, rows: Tensor) -> Tensor:
        """(rows, dimension) float32 on the device."""
        found = self._rows[rows.to(self._rows.device)].to(self._device).float()
        if self._standardization is None:
            return found
        return (found - self._standardization.mean) / self._standardization.deviation


class _Fit:
    """One group of probes being fitted."""

    def __init__(
        self,
        probes: Sequence[Probe],
        inputs: Mapping[str, ProbeInput],
        config: EvaluationConfig,
        device: torch.device,
    ) -> None:
        self.probes, self.inputs, self.config, self.device = probes, inputs, config, device
        self.first = probes[0].task
        self.places = list(dict.fromkeys((probe.network, probe.columns) for probe in probes))
        self.place_of_probe = torch.tensor(
            [self.places.index((probe.network, probe.columns)) for probe in probes], device=device
        )
        hidden = (config.hidden_width,) * 2 if self.first.head == "mlp" else ()
        self.outputs = [probe.task.outputs for probe in probes]
        self.stack = ProbeStack(probes[0].width, hidden, self.outputs).to(device)
        counts = torch.tensor(self.outputs, device=device)
        is_asked = torch.arange(max(self.outputs), device=device) < counts[:, None]
        self.weights_of_outputs = (is_asked / counts[:, None])[
            :, None
        ]  # a mean over each probe's own outputs
        self.tasks = list({probe.task.name: probe.task for probe in probes}.values())
        numbers = {task.name: number for number, task in enumerate(self.tasks)}
        self.task_of_probe = torch.tensor([numbers[probe.task.name] for probe in probes], device=device)
        some = inputs[probes[0].network]
        self.train, self.val = some.train, some.val
        self.latents = some.train.latents.flatten(0, 1).to(device)
        self.labels = some.train.labels.repeat_interleave(some.train.views).to(device)
        networks = {probe.network for probe in probes}
        self.standardizations = {
            name: standardization_of(inputs[name].train.representations, device)
            if config.protocol == "thorough"
            else None
            for name in networks
        }
        self.scales = self._target_scales()

    def run(self, path: Path | None) -> None:
        """Trains all epochs, from where a kept state stands."""
        rows = {
            name: _Rows(self.inputs[name].train, self.device, standardization)
            for name, standardization in self.standardizations.items()
        }
        optimizer = torch.optim.Adam(self.stack.parameters(), lr=self.config.lr, fused=True)
        start = self._restore(path, optimizer)
        kept = time.monotonic()
        epochs = tqdm(
            range(start, self.first.epochs),
            initial=start,
            total=self.first.epochs,
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
            is_last = epoch + 1 == self.first.epochs
            if loss is not None and (is_last or time.monotonic() - kept > KEEP_EVERY):
                if not torch.isfinite(loss):
                    raise IebenchError(
                        f"the probes of {', '.join(task.name for task in self.tasks)} diverged; use a lower "
                        "evaluation.lr or evaluation.protocol=thorough, which standardizes features"
                    )
                self._keep(path, epoch + 1, optimizer)
                kept = time.monotonic()

    @torch.inference_mode()
    def predict(self) -> list[Tensor]:
        """What each probe says about the validation views; see ``fit_probes``."""
        rows = {
            name: _Rows(self.inputs[name].val, self.device, standardization)
            for name, standardization in self.standardizations.items()
        }
        first, second = pairs_of_test(self.val.objects, self.val.views)
        found: list[list[Tensor]] = [[] for _ in self.probes]
        for one, two in zip(first.split(_TEST_ROWS), second.split(_TEST_ROWS), strict=True):
            outputs = self.stack(self._inputs(rows, one, two))
            for number, (output, count) in enumerate(zip(outputs, self.outputs, strict=True)):
                output = output[:, :count]
                if self.first.target is None:
                    found[number].append(output.topk(min(TOP, count), dim=1).indices.cpu())
                else:
                    scale = self.scales[int(self.task_of_probe[number])]
                    found[number].append((output if scale is None else output * scale).cpu())
        return [torch.cat(parts).unflatten(0, (self.val.objects, self.val.views)) for parts in found]

    def _batches(self, epoch: int, rows: Mapping[str, _Rows]) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch: (probes, batch, width) inputs with labels or (probes, batch, outputs) targets."""
        first, second = train_draws(
            self.train.objects, self.train.views, self.config, epoch, self.first.share
        )
        targets = self._targets(first.to(self.device), second.to(self.device))
        size = self.config.batch_size
        for start in range(0, len(first), size):
            stop = start + size
            inputs = self._inputs(rows, first[start:stop], second[start:stop])
            if self.first.target is None:
                yield inputs, targets[start:stop]
            else:
                yield inputs, targets[:, start:stop][self.task_of_probe]

    def _inputs(self, rows: Mapping[str, _Rows], first: Tensor, second: Tensor) -> Tensor:
        """What each probe sees of the views: (probes, batch, width)."""
        seen = {
            name: [some[first], some[second]] if self.first.views == 2 else [some[first]]
            for name, some in rows.items()
        }
        parts = [
            torch.cat([view[:, start:stop] for view in seen[name]], dim=1)
            for name, (start, stop) in self.places
        ]
        return torch.stack(parts)[self.place_of_probe]

    def _targets(self, first: Tensor, second: Tensor) -> Tensor:
        """(rows,) labels, or (tasks, rows, widest output) targets."""
        if self.first.target is None:
            return self.labels[first]
        widest = max(self.outputs)
        targets = []
        for task, scale in zip(self.tasks, self.scales, strict=True):
            found = targets_of(task, self.latents[first], self.latents[second])
            targets.append(F.pad(found if scale is None else found / scale, (0, widest - task.outputs)))
        return torch.stack(targets)

    def _target_scales(self) -> list[Tensor | None]:
        """The deviation of each target of tasks that are standardized, over the views of the first epoch."""
        first, second = train_draws(self.train.objects, self.train.views, self.config, 0)
        first, second = first.to(self.device), second.to(self.device)
        scales: list[Tensor | None] = []
        for task in self.tasks:
            if task.is_standardized:
                found = targets_of(task, self.latents[first], self.latents[second])
                deviation = found.std(dim=0, correction=0)
                scales.append(torch.where(deviation > 1e-6, deviation, 1.0))
            else:
                scales.append(None)
        return scales

    def _loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The sum of all probes' losses, so that each gets the gradient of its own."""
        probes, batch, _ = outputs.shape
        if self.first.target is None:
            labels = targets.expand(probes, batch).flatten()
            return F.cross_entropy(outputs.flatten(0, 1), labels, reduction="sum") / batch
        return ((outputs - targets).pow(2) * self.weights_of_outputs).sum() / batch

    def _keep(self, path: Path | None, epochs: int, optimizer: torch.optim.Optimizer) -> None:
        if path is None:
            return
        buffer = io.BytesIO()
        state = {"epochs": epochs, "stack": self.stack.state_dict(), "optimizer": optimizer.state_dict()}
        torch.save(state, buffer)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as stream:
            stream.write(buffer.getbuffer())

    def _restore(self, path: Path | None, optimizer: torch.optim.Optimizer) -> int:
        """Takes up a kept state; the number of epochs that it has behind it."""
        if path is None or not path.is_file():
            return 0
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.stack.load_state_dict(state["stack"])
            optimizer.load_state_dict(state["optimizer"])
            return int(state["epochs"])
        except Exception as error:  # a file that is cut short fails in as many ways as there are
            print(f"{path} cannot be read ({type(error).__name__}); these probes start anew", file=sys.stderr)
            return 0
