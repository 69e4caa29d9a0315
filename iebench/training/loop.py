"""The training loop: draws from shards, steps, logs and checkpoints."""

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from iebench.methods.parts.gather import gather_each
from iebench.recipes.recipe import Recipe
from iebench.training.checkpoints import Checkpoints
from iebench.training.devices import fast_kernels
from iebench.training.health import Diverged, Health
from iebench.training.interrupt import stop_on_signals
from iebench.training.launch import read_launch
from iebench.training.loading import batches_on_device
from iebench.training.machine import describe_machine, start_line, wants_compile
from iebench.training.memory import out_of_memory_as_error
from iebench.training.metrics_log import MetricsLog, TensorBoardLog, read_metrics
from iebench.training.model import ModelOutput
from iebench.training.online import collapse_statistics
from iebench.training.opening import Training, open_training
from iebench.training.optimizers import clip_gradients, learning_rate, set_learning_rate
from iebench.training.pace import TRUSTED_RECORD, Pace
from iebench.training.processes import Processes, launched
from iebench.training.recompute import recompute_stages
from iebench.training.run import Run
from iebench.training.schedule import Schedule
from iebench.training.synchronized import synchronize_batch_norm
from iebench.training.validation import Validation
from iebench.training.wandb_log import WandbLog
from shards.errors import IebenchError
from shards.loader import draw_batches, loader_workers
from shards.mirror import dataset_folder


class TrainingStopped(IebenchError):
    """Raised if a signal stopped the training."""

    exit_code = 130


StepCallback = Callable[[int, dict[str, Any] | None], None]
"""Function that is called after each step with its number, and with its record if the step is logged, else None."""


@dataclass(frozen=True)
class TrainingResult:
    """Result of a training.

    Attributes:
        run: Folder of the run.
        step: Number of steps of the run in all, those before it was resumed included.
        record: Last line of ``metrics.jsonl``; None if there is none.
        checkpoint: File of the last checkpoint.
    """

    run: Path
    step: int
    record: dict[str, Any] | None
    checkpoint: Path


def train(
    recipe: Recipe,
    data: str | Path,
    out: str | Path,
    device: str = "auto",
    resume: bool = False,
    on_step: StepCallback | None = None,
) -> TrainingResult:
    """Trains a recipe on a dataset, in one process or in all that torchrun or srun started.

    The steps do not depend on the number of processes; only rank 0 writes. On the CPU, a run that is stopped and resumed
    takes the same steps as one that is not. PyTorch's global random state is not changed.

    Args:
        recipe: Recipe with all settings of the run.
        data: Folder of the dataset, or its http, https, s3 or hf address.
        out: Folder of the run; it is new, unless ``resume`` is set.
        device: ``auto``, ``cpu``, ``cuda``, or one GPU by its number as in ``cuda:1``.
        resume: Whether to continue from the last checkpoint in the folder.
        on_step: Function that is called after every step, in every process.

    Raises:
        UsageError: The dataset, the run's folder or the device does not fit.
        TrainingStopped: Ctrl-C or SIGTERM came; the state is saved.
        IebenchError: A shard cannot be read, or the loss is not finite.
    """
    run = Run(Path(out))
    try:
        with launched(device) as processes:
            with processes.fail_together():
                folder = dataset_folder(data)
            gpus = [processes.device] if processes.device.type == "cuda" else []
            advice = out_of_memory_as_error(recipe, run.folder, processes.count)
            kernels = fast_kernels(processes.device, recipe.training.precision == "float32")
            with torch.random.fork_rng(gpus), kernels, advice:
                training = open_training(recipe, folder, run, resume, processes)
                if training.state.step < training.schedule.steps:
                    take_steps(training, processes, on_step)
    except KeyboardInterrupt:
        again = "run the same command again"
        if run.config_path.is_file():
            again = f"`iebench train --resume {run.folder}` goes on from its last checkpoint"
        raise TrainingStopped(
            f"interrupted, and nothing was saved since the last checkpoint; {again}"
        ) from None
    records = read_metrics(run.metrics_path)
    return TrainingResult(
        run.folder, training.state.step, records[-1] if records else None, run.last_checkpoint
    )


def take_steps(training: Training, processes: Processes, on_step: StepCallback | None) -> None:
    """Takes the remaining steps of a training; all of its processes call this together.

    Raises:
        Diverged: The loss or its gradient is not finite.
        TrainingStopped: Ctrl-C or SIGTERM came; the state is saved.
        IebenchError: A shard cannot be read.
    """
    run, recipe, state, schedule = training.run, training.recipe, training.state, training.schedule
    model, optimizer, precision, device = state.model, state.optimizer, state.precision, processes.device
    wrapped_model = wrap_model(training, processes)
    workers = loader_workers(recipe.training.workers, read_launch().local_count)
    logging: AbstractContextManager[MetricsLog | None] = nullcontext()
    with processes.fail_together():
        if processes.is_first:
            tell_start(training, processes, workers)
            logging = metrics_log(run, recipe, state.step)
    has_validation = "val" in training.index.splits
    validation = Validation(training.data, training.index, precision) if has_validation else None
    pace = Pace(device, schedule.images_per_step)
    health, checkpoints = Health(state), Checkpoints(run, recipe.training.keep)
    record: dict[str, Any] | None = None
    wants_checkpoint = is_validated = False

    with (
        stop_on_signals() as stop,
        draw_batches(training.stream, workers, device.type == "cuda") as batches,
        logging as log,
        progress_bar(schedule, state.step, processes.is_first) as bar,
    ):
        device_batches = batches_on_device(pace.watched(batches), device)
        while True:
            with processes.fail_together(stop.number) as signals:
                if record:
                    require_health(health, run, recipe, checkpoints)
                    if is_validated and validation and processes.is_first:
                        record |= validation.scores(model)
                    log_step(record, schedule, log, bar)
                    if pace.records == TRUSTED_RECORD and processes.is_first:
                        tqdm.write(pace.time_left(schedule.steps - state.step, record), file=sys.stderr)
                if on_step and state.step > training.stream.start_step:
                    on_step(state.step, record)
                batch = next(device_batches)
            wants_checkpoint |= any(signals)

            # The forward pass changes running statistics; a checkpoint holds those that were there before it.
            buffers = state.buffers() if wants_checkpoint else None
            rate = learning_rate(recipe.optimizer, state.step, schedule.steps, 1 / schedule.epoch(1))
            set_learning_rate(optimizer, rate)
            with precision.autocast():
                output = wrapped_model(*batch)
            optimizer.zero_grad()
            precision.scaler.scale(output.loss).backward()
            precision.scaler.unscale_(optimizer)
            health.check(output.loss)

            # A state is known to be good once loss and gradient have been computed from it. So the checkpoint of
            # step 40 is written within step 41, before its update.
            if wants_checkpoint:
                with processes.fail_together():
                    require_health(health, run, recipe, checkpoints)
                    if processes.is_first:
                        checkpoints.save(state.content(buffers), state.step, schedule.milestone(state.step))
                    raise_if_stopped(signals, state.step, schedule, run.folder)
                if state.step == schedule.steps:
                    break
            norm = clip_gradients(optimizer, recipe.optimizer.clip_norm)
            # In float16, a step whose gradients overflowed is skipped; all optimizers but Adam wait to know it.
            precision.scaler.step(optimizer)
            precision.scaler.update()
            state.step += 1
            model.after_step(state.step / schedule.steps)
            bar.update(schedule.images_per_step)

            wants_checkpoint = schedule.wants_checkpoint(state.step)
            is_logged = state.step % recipe.training.log_every == 0 or state.step in (1, schedule.steps)
            is_validated = has_validation and schedule.ends_stretch(
                state.step, recipe.training.validate_every
            )
            record = log_record(state.step, output, schedule) if is_logged or is_validated else None
            if record:
                record |= {"learning_rate": rate, "gradient_norm": norm.item(), **pace.record()}


def wrap_model(training: Training, processes: Processes) -> nn.Module:
    """Wraps the model for several processes, compilation and activation checkpointing, as the recipe says."""
    model, config = training.state.model, training.recipe.training
    if processes.count > 1:
        synchronize_batch_norm(model)
    steps_left = training.schedule.steps - training.state.step
    compiles = wants_compile(config.compile, processes.device, steps_left)
    if config.checkpoint_activations:
        recompute_stages(model.backbone, compiles)
    if compiles:
        if processes.count > 1:  # else it would cut graphs that hold collectives at DDP's buckets
            torch._dynamo.config.optimize_ddp = False
        model.compile_backbones()
    return processes.replicate(model)


def tell_start(training: Training, processes: Processes, workers: int) -> None:
    """Describes the machine in the run's configuration, and prints it on stderr with the length of the training."""
    device = processes.device
    machine = describe_machine(device, training.state.precision.name, processes.count, workers)
    training.run.write_machine(machine)
    print(start_line(machine, device, training.schedule, training.state.step), file=sys.stderr)


def metrics_log(run: Run, recipe: Recipe, step: int) -> MetricsLog:
    """Opens the logs that the recipe names, for the steps after ``step``."""
    others: list[TensorBoardLog | WandbLog] = []
    if "tensorboard" in recipe.training.log:
        others.append(TensorBoardLog(run.folder / "tensorboard", step))
    if "wandb" in recipe.training.log:
        others.append(WandbLog(run.folder, recipe.model_dump(mode="json")))
    return MetricsLog(run.metrics_path, step, others)


def log_record(step: int, output: ModelOutput, schedule: Schedule) -> dict[str, Any]:
    """Computes a line of ``metrics.jsonl`` about the whole batch; all processes have to call this together."""
    gathered = iter(gather_each(*(view for views in output.spaces.values() for view in views)))
    spaces = {name: tuple(islice(gathered, len(views))) for name, views in output.spaces.items()}
    return {
        "step": step,
        "epoch": round(schedule.epoch(step), 4),
        **{name: term.item() for name, term in output.terms.items()},
        **collapse_statistics(spaces),
    }


def log_step(record: dict[str, Any], schedule: Schedule, log: MetricsLog | None, bar: tqdm) -> None:
    """Writes a record to the log, if this process has one, and its loss beside the progress bar."""
    if log:
        log.write(record)
        bar.set_postfix_str(f"epoch {record['epoch']:.0f}/{schedule.epochs}, loss {record['loss']:.3f}")


def require_health(health: Health, run: Run, recipe: Recipe, checkpoints: Checkpoints) -> None:
    """Checks that each loss and gradient so far was finite. Waits for the device.

    Raises:
        Diverged: A loss or gradient was not finite; the message says which checkpoint to continue from.
    """
    step = health.first_bad_step()
    if step is None:
        return
    good = "no checkpoint was due before, so --resume begins with step 1"
    if steps := checkpoints.steps():
        good = f"{run.last_checkpoint} holds the state of step {steps[-1]}, which is good"
    raise Diverged(
        f"the loss or its gradient is no finite number at step {step}; {good}: go on with a lower learning rate, as in "
        f"`iebench train --resume {run.folder} --set optimizer.lr={recipe.optimizer.lr / 10:g}`"
    )


def progress_bar(schedule: Schedule, step: int, shown: bool = True) -> tqdm:
    """Creates a progress bar that counts images: all views of all draws, in all processes."""
    images = schedule.images_per_step
    return tqdm(
        total=schedule.steps * images,
        initial=step * images,
        unit=" images",
        unit_scale=True,
        desc="train",
        bar_format="{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_fmt}{postfix}]",
        file=sys.stderr,
        disable=not shown,
    )


def raise_if_stopped(signals: list[int], step: int, schedule: Schedule, out: Path) -> None:
    """Ends a training whose checkpoint has been written, if a signal came to any process; 0 stands for none.

    Raises:
        TrainingStopped: A signal came.
    """
    number = next(filter(None, signals), None)
    if number and step < schedule.steps:
        raise TrainingStopped(
            f"stopped by {signal.Signals(number).name} after step {step} of {schedule.steps}; the state is saved in "
            f"{out}: `iebench train --resume {out}` goes on from it (and so does `iebench demo`)"
        )
