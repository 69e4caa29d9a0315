"""Opens a training: from a recipe and a dataset to the state that can take its next step."""

from dataclasses import dataclass
from pathlib import Path

import torch

from iebench.augmentations.measure import measure_parameters
from iebench.backbones.builtin import with_stem
from iebench.recipes.recipe import Recipe
from iebench.training.loading import draw_stream
from iebench.training.model import Model, build_model
from iebench.training.precision import Precision
from iebench.training.processes import Processes
from iebench.training.run import Run, load_checkpoint, save_checkpoint
from iebench.training.schedule import Schedule
from iebench.training.state import TrainingState
from iebench.training.wandb_log import require_wandb
from shards.errors import UsageError
from shards.schema import DatasetIndex, open_dataset
from shards.stream import DrawStream


@dataclass(frozen=True)
class Training:
    """A training between its opening and its loop.

    The recipe has the stem that fits the dataset's images, the state is on the device of this process, and the stream
    has this process's draws from ``state.step`` on.
    """

    run: Run
    recipe: Recipe
    data: Path
    index: DatasetIndex
    state: TrainingState
    stream: DrawStream
    schedule: Schedule


def open_training(recipe: Recipe, data: Path, run: Run, resume: bool, processes: Processes) -> Training:
    """Opens the dataset, builds the model, and begins or continues the run's folder.

    Every process opens the same training; rank 0 alone writes. With ``resume``, the run continues from its last
    checkpoint.

    Raises:
        UsageError: The dataset, the run's folder, the device or a package that the recipe logs to is not as needed.
        IebenchError: A checkpoint or a shard cannot be read.
    """
    with processes.fail_together():
        precision = Precision(recipe.training.precision, processes.device)
        if "wandb" in recipe.training.log:
            require_wandb()
        index = open_dataset(data)
        recipe = recipe.model_copy(update={"backbone": with_stem(recipe.backbone, index.image_size)})
        model = build_model(recipe, index)
        views = model.method.view_count
        stream = draw_stream(recipe.training, index, data, processes, views, model.augmentation)
        begins = not run.last_checkpoint.is_file()
        if begins:
            initialize(model, data, index)
        if processes.is_first:
            if resume:
                run.require_same(recipe, data)
            else:
                run.create(recipe, data, index)
            if begins:
                save_checkpoint(run.initial_checkpoint, {"model": model.state_dict()})
    state = TrainingState(model, recipe, precision)
    restore(run, state, processes)
    stream.start_step = state.step
    with processes.fail_together():
        if resume and processes.is_first:
            run.write_config(recipe, data, index, state.step)
    return Training(run, recipe, data, index, state, stream, Schedule.from_recipe(recipe, index, views))


def initialize(model: Model, data: Path, index: DatasetIndex) -> None:
    """Gives a new model what it does not draw from its seed: loaded weights, and statistics of augmentations.

    Raises:
        UsageError: The file of initial weights cannot be read, or fits another network.
        IebenchError: A shard cannot be read.
    """
    model.load_initial_weights()
    if model.augmentation is not None and model.parameter_scale is not None:
        measured = measure_parameters(model.augmentation, data, index)
        model.parameter_scale.set(*map(torch.from_numpy, measured))


def restore(run: Run, state: TrainingState, processes: Processes) -> None:
    """Loads the run's last checkpoint in all processes, if there is one.

    Raises:
        UsageError: The processes found different checkpoints.
        IebenchError: The checkpoint is broken.
    """
    with processes.fail_together():
        if run.last_checkpoint.is_file():
            state.load(load_checkpoint(run.last_checkpoint))
    steps = processes.gather_integers(state.step)
    with processes.fail_together():
        if len(set(steps)) > 1:
            raise UsageError(
                f"the processes found different states in {run.folder} (steps {steps}); it must be one folder that "
                "every node sees under the same path"
            )
