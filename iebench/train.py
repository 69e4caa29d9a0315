"""Training: pairs from shards, a step, a log, a checkpoint."""

import math
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch.utils.data import DataLoader
from tqdm import tqdm

from iebench.backbones import with_stem
from iebench.interrupt import StopRequest, stop_on_signals
from iebench.metrics import MetricsLog
from iebench.model import Model, Step, build_model
from iebench.online import Views, collapse_statistics
from iebench.recipe import OptimizerConfig, Recipe
from iebench.run import Run, load_checkpoint, save_checkpoint
from shards.errors import IebenchError, UsageError
from shards.schema import DatasetIndex, open_dataset
from shards.stream import Pair, PairStream, raise_errors


class TrainingStopped(IebenchError):
    """A signal stopped the training; its state is saved."""

    exit_code = 130


@dataclass
class Position:
    """Where a training is: steps done, and the pass over the shards with its batches used."""

    step: int = 0
    pass_number: int = 0
    batch: int = 0


@dataclass(frozen=True)
class Schedule:
    """Steps and epochs. An epoch is one pair of views per object, as in the SIE paper."""

    objects: int
    batch_size: int
    epochs: int
    checkpoint_every: int

    @classmethod
    def of(cls, recipe: Recipe, index: DatasetIndex) -> "Schedule":
        """The schedule of a recipe on a dataset."""
        training = recipe.training
        return cls(
            index.split("train").objects, training.batch_size, training.epochs, training.checkpoint_every
        )

    @property
    def steps(self) -> int:
        """Steps in all."""
        return max(1, self.epochs * self.objects // self.batch_size)

    def epoch(self, step: int) -> float:
        """Epochs done after ``step`` steps."""
        return step * self.batch_size / self.objects

    def wants_checkpoint(self, step: int) -> bool:
        """Whether ``step`` ends a stretch of ``checkpoint_every`` epochs, or the training."""
        done, before = (self.epoch(number) // self.checkpoint_every for number in (step, step - 1))
        return done > before or step == self.steps


def train(recipe: Recipe, data: Path, out: Path, device: str = "auto", resume: bool = False) -> None:
    """Trains a recipe on a dataset.

    On the CPU, a run that is stopped and resumed takes the same steps as one that is not.

    Args:
        recipe: every number of the run.
        data: the dataset's folder.
        out: the run's folder: new, or with ``resume`` one that was begun.
        device: ``auto``, ``cpu`` or ``cuda``.
        resume: go on from the last checkpoint.

    Raises:
        UsageError: the dataset, the run folder or the device is not as needed.
        TrainingStopped: Ctrl-C or SIGTERM came; the state is saved.
        IebenchError: a shard cannot be read, or the loss is not finite.
    """
    index = open_dataset(data)
    recipe = recipe.model_copy(update={"backbone": with_stem(recipe.backbone, index.image_size)})
    fabric = start_fabric(device)
    model = build_model(recipe, index)
    optimizer = build_optimizer(model, recipe)
    run = Run(out)
    position = open_run(run, recipe, data, resume, model, optimizer)
    schedule = Schedule.of(recipe, index)
    trained, optimizer = fabric.setup(model, optimizer)
    log = MetricsLog(run.metrics_path, out / "tensorboard", position.step)

    with stop_on_signals() as stop, progress_bar(schedule, position) as bar:
        for batch in pair_batches(recipe, index, data, fabric, position):
            if position.step >= schedule.steps:
                break
            set_learning_rate(optimizer, learning_rate(recipe.optimizer, position.step, schedule.steps))
            outcome = trained(*on_device(batch, fabric.device))
            optimizer.zero_grad()
            fabric.backward(outcome.loss)
            optimizer.step()
            position.step += 1
            model.after_step(position.step / schedule.steps)

            bar.update(2 * schedule.batch_size)
            if position.step % recipe.training.log_every == 0 or position.step in (1, schedule.steps):
                record = log_record(position.step, outcome, schedule)
                log.write(record)
                bar.set_postfix_str(
                    f"epoch {record['epoch']:.0f}/{schedule.epochs}, loss {record['loss']:.3f}"
                )
            if schedule.wants_checkpoint(position.step) or stop.signal:
                save_checkpoint(run.last_checkpoint, training_state(model, optimizer, position))
            raise_if_stopped(stop, position, schedule, out)
    log.close()


def start_fabric(device: str) -> Fabric:
    """The engine: mixed precision in bfloat16 on CUDA, float32 on the CPU.

    Raises:
        UsageError: there is no such device here, or several processes were started.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("training in several processes is not supported yet; start one, without torchrun")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "there is no CUDA device that PyTorch can use; try --device cpu, or see `iebench doctor`"
        )
    fabric = Fabric(accelerator=device, devices=1, precision="bf16-mixed" if device == "cuda" else "32-true")
    fabric.launch()
    return fabric


def open_run(
    run: Run, recipe: Recipe, data: Path, resume: bool, model: Model, optimizer: torch.optim.Optimizer
) -> Position:
    """Creates the run's folder, or takes up the state that is in it.

    Raises:
        UsageError: the folder is in use, or ``resume`` finds nothing that fits.
    """
    if resume:
        run.require_same(recipe, data)
        run.write_config(recipe, data)
    else:
        run.create(recipe, data)
    if not run.last_checkpoint.is_file():
        save_checkpoint(run.initial_checkpoint, {"model": model.state_dict()})
        return Position()
    state = load_checkpoint(run.last_checkpoint)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return Position(**state["position"])


def build_optimizer(model: Model, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam for what is trained, and apart from it, with a rate of their own, the heads that only watch."""
    watching = set(model.online.parameters())
    trained = [value for value in model.parameters() if value.requires_grad and value not in watching]
    return torch.optim.Adam(
        [
            {"params": trained, "weight_decay": recipe.optimizer.weight_decay},
            {"params": list(model.online.parameters()), "lr": recipe.online.lr},
        ],
        lr=recipe.optimizer.lr,
    )


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """The learning rate of a step, counted from 0, of ``steps`` in all."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    decay = 0.5 * (1 + math.cos(math.pi * step / steps)) if config.schedule == "cosine" else 1.0
    return config.lr * warmup * decay


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Gives all that is trained a learning rate; that of the heads that watch stays."""
    optimizer.param_groups[0]["lr"] = rate


def training_state(model: Model, optimizer: torch.optim.Optimizer, position: Position) -> dict[str, Any]:
    """All that a training needs to go on: the order of pairs follows from the position and the seed."""
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "position": asdict(position)}


def pair_batches(
    recipe: Recipe, index: DatasetIndex, data: Path, fabric: Fabric, position: Position
) -> Iterator[Pair]:
    """Batches from where ``position`` stands, pass after pass, which it counts in ``position``.

    Raises:
        UsageError: a pass over the split does not fill one batch.
        IebenchError: a shard cannot be read.
    """
    training = recipe.training
    stream = PairStream(
        data,
        index,
        "train",
        training.batch_size,
        training.pairs_per_object,
        training.seed,
        training.shuffle_buffer,
    )
    loader = DataLoader(
        stream,
        batch_size=None,
        num_workers=training.workers,
        pin_memory=fabric.device.type == "cuda",
        worker_init_fn=_leave_interrupts_to_parent,
    )
    while True:
        stream.start_pass = position.pass_number
        number = 0
        for number, batch in enumerate(raise_errors(loader), start=1):
            if number > position.batch:
                position.batch = number
                yield batch
        if not number:
            raise UsageError(
                f"a batch of {training.batch_size} pairs is more than a pass over this dataset gives each of the "
                f"{max(1, training.workers)} loader processes; lower training.batch_size or training.workers"
            )
        position.pass_number, position.batch = position.pass_number + 1, 0


def on_device(batch: Pair, device: torch.device) -> tuple[Views, Views, torch.Tensor]:
    """Views, latents and labels on ``device``; plain tuples, which mixed precision can look into."""
    (first, second), (before, after) = (
        tuple(tensor.to(device, non_blocking=True) for tensor in tensors)
        for tensors in (batch.views, batch.latents)
    )
    return (first, second), (before, after), batch.labels.to(device, non_blocking=True)


def log_record(step: int, outcome: Step, schedule: Schedule) -> dict[str, Any]:
    """One line of ``metrics.jsonl``.

    Raises:
        IebenchError: the loss is not a finite number.
    """
    values = {name: term.item() for name, term in outcome.terms.items()}
    if not math.isfinite(values["loss"]):
        raise IebenchError(
            f"the loss is {values['loss']} at step {step}; resume from the last checkpoint with a lower optimizer.lr"
        )
    return {
        "step": step,
        "epoch": round(schedule.epoch(step), 4),
        **values,
        **collapse_statistics(outcome.spaces),
    }


def progress_bar(schedule: Schedule, position: Position) -> tqdm:
    """Counts images: both views of each pair."""
    images = 2 * schedule.batch_size
    return tqdm(
        total=schedule.steps * images,
        initial=position.step * images,
        unit="img",
        desc="train",
        file=sys.stderr,
    )


def raise_if_stopped(stop: StopRequest, position: Position, schedule: Schedule, out: Path) -> None:
    """Ends the loop after the checkpoint that a signal asked for.

    Raises:
        TrainingStopped: a signal came.
    """
    if stop.signal and position.step < schedule.steps:
        raise TrainingStopped(
            f"stopped by {stop.signal.name} after step {position.step} of {schedule.steps}; the state is saved in "
            f"{out}: `iebench train --resume` goes on from it (and so does `iebench demo`)"
        )


def _leave_interrupts_to_parent(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
