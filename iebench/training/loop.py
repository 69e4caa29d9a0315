"""Training: draws from shards, a step, a log, a checkpoint."""

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from iebench.augmentations.measure import measure_parameters
from iebench.backbones.builtin import with_stem
from iebench.methods.parts.gather import gather_each
from iebench.recipes.recipe import Recipe
from iebench.training.augmented_views import augmentation_of
from iebench.training.checkpoints import Checkpoints
from iebench.training.devices import fast_kernels
from iebench.training.health import Diverged, Health
from iebench.training.interrupt import stop_on_signals
from iebench.training.launch import read_launch
from iebench.training.loading import arriving, draw_stream
from iebench.training.machine import describe_machine, start_line, wants_compile
from iebench.training.memory import out_of_memory_as_error
from iebench.training.metrics_log import MetricsLog, ScalarLog, TensorBoardLog, read_metrics
from iebench.training.model import Model, ModelOutput, build_model
from iebench.training.online import collapse_statistics
from iebench.training.optimizers import clip_gradients, learning_rate, set_learning_rate
from iebench.training.pace import TRUSTED_RECORD, Pace
from iebench.training.precision import Precision
from iebench.training.processes import Processes, launched
from iebench.training.run import Run, load_checkpoint, save_checkpoint
from iebench.training.schedule import Schedule
from iebench.training.state import TrainingState
from iebench.training.synchronised import synchronise_batch_norm
from iebench.training.validation import Validation
from iebench.training.wandb_log import WandbLog, require_wandb
from shards.errors import IebenchError, UsageError
from shards.loader import draw_batches, loader_workers
from shards.mirror import dataset_folder
from shards.schema import open_dataset


class TrainingStopped(IebenchError):
    """A signal stopped the training; its state is saved."""

    exit_code = 130


StepCallback = Callable[[int, dict[str, Any] | None], None]
"""Is told after each step its number, and its record where it is a logged one."""


@dataclass(frozen=True)
class TrainingResult:
    """What a training has come to.

    Attributes:
        run: Folder of the run.
        step: Number of steps that were taken in all, before a resumption too.
        record: Last line of ``metrics.jsonl``; None where there is none.
        checkpoint: File of the last state.
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

    However many they are, they take the same steps; rank 0 alone writes. On the CPU, a run that is stopped and
    resumed takes the same steps as one that is not. PyTorch's global random state is left as it was.

    Args:
        recipe: Every number of the run.
        data: Folder of the dataset, or its http, https or s3 address.
        out: Folder of the run: new, or with ``resume`` one that was begun.
        device: ``auto``, ``cpu``, ``cuda``, or one GPU by its number as in ``cuda:1``.
        resume: Goes on from the last checkpoint.
        on_step: Called after every step, in every process.

    Raises:
        UsageError: the dataset, the run folder or the device is not as needed.
        TrainingStopped: Ctrl-C or SIGTERM came; the state is saved.
        IebenchError: a shard cannot be read, or the loss is not finite.
    """
    run = Run(Path(out))
    try:
        with launched(device) as processes:
            with processes.fail_together():
                folder = dataset_folder(data)
            gpus = [processes.device] if processes.device.type == "cuda" else []
            advice = out_of_memory_as_error(recipe, run.folder, processes.count)
            with torch.random.fork_rng(gpus), fast_kernels(processes.device), advice:
                step = _train(recipe, folder, run.folder, resume, processes, on_step)
    except KeyboardInterrupt:
        begun = (
            f"`iebench train --resume {run.folder}` goes on from its last checkpoint"
            if run.config_path.is_file()
            else "run the same command again"
        )
        raise TrainingStopped(
            f"interrupted, and nothing was saved since the last checkpoint; {begun}"
        ) from None
    records = read_metrics(run.metrics_path)
    return TrainingResult(run.folder, step, records[-1] if records else None, run.last_checkpoint)


def _train(
    recipe: Recipe,
    data: Path,
    out: Path,
    resume: bool,
    processes: Processes,
    on_step: StepCallback | None = None,
) -> int:
    """Trains in one process of several; returns the number of steps in all."""
    run, device = Run(out), processes.device
    with processes.fail_together():
        precision = Precision(recipe.training.precision, device)
        if "wandb" in recipe.training.log:
            require_wandb()
        index = open_dataset(data)
        recipe = recipe.model_copy(update={"backbone": with_stem(recipe.backbone, index.image_size)})
        model = build_model(recipe, index)
        if not (resume and run.last_checkpoint.is_file()):
            model.load_initial_weights()
        maker = augmentation_of(recipe, model.method, index)
        if maker is not None and not run.last_checkpoint.is_file():
            measured = measure_parameters(maker, data, index)
            assert model.parameter_scale is not None
            model.parameter_scale.set(*map(torch.from_numpy, measured))
        stream = draw_stream(recipe.training, index, data, processes, model.method.view_count, maker)
        if processes.first:
            open_run(run, recipe, data, resume, model)
    state = TrainingState(model, recipe, precision)
    restore(run, state, processes)
    with processes.fail_together():
        if processes.first and resume:
            run.write_config(recipe, data, state.step)
    schedule = Schedule.of(recipe, index, model.method.view_count)
    if state.step >= schedule.steps:
        return state.step
    stream.start_step = state.step
    if processes.count > 1:
        synchronise_batch_norm(model)
    compiles = wants_compile(recipe.training.compile, device, schedule.steps - state.step)
    if recipe.training.checkpoint_activations:
        model.recompute_activations(compiles)
    if compiles:
        model.compile_backbones()
    trained, optimizer = processes.replicate(model), state.optimizer
    workers = loader_workers(recipe.training.workers, read_launch().local_count)
    with processes.fail_together():
        if processes.first:
            machine = describe_machine(device, precision.name, processes.count, workers)
            run.write_machine(machine)
            print(start_line(machine, device, schedule, state.step), file=sys.stderr)
        logging = metrics_log(run, recipe, state.step, processes.first)
    validation = Validation(data, index, precision) if "val" in index.splits else None
    pace = Pace(device, schedule.images_per_step)
    health, checkpoints = Health(state), Checkpoints(run, recipe.training.keep)
    record: dict[str, Any] | None = None
    wants_checkpoint = is_validated = False

    with (
        stop_on_signals() as stop,
        draw_batches(stream, workers, device.type == "cuda") as batches,
        logging as log,
        progress_bar(schedule, state.step, processes.first) as bar,
    ):
        on_device = arriving(pace.watched(batches), device)
        while True:
            with processes.fail_together(stop.number) as signals:
                if record:
                    require_health(health, run, recipe, checkpoints)
                    if is_validated and validation and processes.first:
                        record |= validation.scores(model)
                    log_step(record, schedule, log, bar)
                    if pace.records == TRUSTED_RECORD and processes.first:
                        tqdm.write(pace.time_left(schedule.steps - state.step, record), file=sys.stderr)
                if on_step and state.step > stream.start_step:
                    on_step(state.step, record)
                batch = next(on_device)
            wants_checkpoint |= any(signals)

            # The forward pass changes running statistics; a checkpoint holds those that were there before it.
            buffers = state.buffers() if wants_checkpoint else None
            rate = learning_rate(recipe.optimizer, state.step, schedule.steps, 1 / schedule.epoch(1))
            set_learning_rate(optimizer, rate)
            with precision.autocast():
                outcome = trained(*batch)
            optimizer.zero_grad()
            precision.backward(outcome.loss)
            precision.unscale(optimizer)
            health.check(outcome.loss)

            # A state is known to be good once loss and gradient have been computed from it. So the checkpoint of
            # step 40 is written within step 41, before its update.
            if wants_checkpoint:
                with processes.fail_together():
                    require_health(health, run, recipe, checkpoints)
                    if processes.first:
                        checkpoints.save(state.content(buffers), state.step, schedule.milestone(state.step))
                    raise_if_stopped(signals, state.step, schedule, out)
                if state.step == schedule.steps:
                    break
            norm = clip_gradients(optimizer, recipe.optimizer.clip_norm)
            precision.update(optimizer)
            state.step += 1
            model.after_step(state.step / schedule.steps)
            bar.update(schedule.images_per_step)

            wants_checkpoint = schedule.wants_checkpoint(state.step)
            is_logged = state.step % recipe.training.log_every == 0 or state.step in (1, schedule.steps)
            is_validated = validation is not None and schedule.ends_stretch(
                state.step, recipe.training.validate_every
            )
            record = log_record(state.step, outcome, schedule) if is_logged or is_validated else None
            if record:
                record |= {"learning_rate": rate, "gradient_norm": norm.item(), **pace.record()}
    return state.step


def open_run(run: Run, recipe: Recipe, data: Path, resume: bool, model: Model) -> None:
    """Creates the run's folder, or makes sure that the one that is there may be gone on with.

    Raises:
        UsageError: the folder is in use, or ``resume`` finds nothing that fits.
    """
    if resume:
        run.require_same(recipe, data)
    else:
        run.create(recipe, data)
    if not run.last_checkpoint.is_file():
        save_checkpoint(run.initial_checkpoint, {"model": model.state_dict()})


def metrics_log(
    run: Run, recipe: Recipe, step: int, first: bool
) -> AbstractContextManager[MetricsLog | None]:
    """Where the first of the processes logs from a step on; the others do not."""
    if not first:
        return nullcontext()
    others: list[ScalarLog] = []
    if "tensorboard" in recipe.training.log:
        others.append(TensorBoardLog(run.folder / "tensorboard", step))
    if "wandb" in recipe.training.log:
        others.append(WandbLog(run.folder, recipe.model_dump(mode="json")))
    return MetricsLog(run.metrics_path, step, others)


def restore(run: Run, state: TrainingState, processes: Processes) -> None:
    """Loads the last state in a run's folder in all processes, if there is one.

    Raises:
        UsageError: the processes found different states.
        IebenchError: the state is broken.
    """
    with processes.fail_together():
        if run.last_checkpoint.is_file():
            state.load(load_checkpoint(run.last_checkpoint))
    steps = processes.exchange(state.step)
    with processes.fail_together():
        if len(set(steps)) > 1:
            raise UsageError(
                f"the processes found different states in {run.folder} (steps {steps}); it must be one folder that "
                "every node sees under the same path"
            )


def log_record(step: int, outcome: ModelOutput, schedule: Schedule) -> dict[str, Any]:
    """One line of ``metrics.jsonl``, about the whole batch: all processes must ask for it."""
    gathered = iter(gather_each(*(view for views in outcome.spaces.values() for view in views)))
    spaces = {name: tuple(islice(gathered, len(views))) for name, views in outcome.spaces.items()}
    return {
        "step": step,
        "epoch": round(schedule.epoch(step), 4),
        **{name: term.item() for name, term in outcome.terms.items()},
        **collapse_statistics(spaces),
    }


def log_step(record: dict[str, Any], schedule: Schedule, log: MetricsLog | None, bar: tqdm) -> None:
    """Writes a record, and its loss beside the progress bar, in the process that has a log."""
    if log:
        log.write(record)
        bar.set_postfix_str(f"epoch {record['epoch']:.0f}/{schedule.epochs}, loss {record['loss']:.3f}")


def require_health(health: Health, run: Run, recipe: Recipe, checkpoints: Checkpoints) -> None:
    """Makes sure that every loss and gradient so far was a finite number. Waits for the device.

    Raises:
        Diverged: One was not; the message says what to go on from.
    """
    step = health.first_bad_step()
    if step is None:
        return
    steps = checkpoints.steps()
    good = (
        f"{run.last_checkpoint} holds the state of step {steps[-1]}, which is good"
        if steps
        else ("no checkpoint was due before, so --resume begins with step 1")
    )
    raise Diverged(
        f"the loss or its gradient is no finite number at step {step}; {good}: go on with a lower learning rate, as in "
        f"`iebench train --resume {run.folder} --set optimizer.lr={recipe.optimizer.lr / 10:g}`"
    )


def progress_bar(schedule: Schedule, step: int, shown: bool = True) -> tqdm:
    """Counts images (all views of each draw, in all processes) and estimates the time left from this run's own."""
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
    """Ends the loop after the checkpoint that a signal asked for.

    Args:
        signals: The number of the signal that each process got; 0 for none.
        step: How many steps were taken.
        schedule: How many there are.
        out: The run's folder.

    Raises:
        TrainingStopped: A signal came.
    """
    number = next(filter(None, signals), None)
    if number and step < schedule.steps:
        raise TrainingStopped(
            f"stopped by {signal.Signals(number).name} after step {step} of {schedule.steps}; the state is saved in "
            f"{out}: `iebench train --resume {out}` goes on from it (and so does `iebench demo`)"
        )
