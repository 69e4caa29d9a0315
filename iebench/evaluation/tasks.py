"""The tasks of probes: the class, pose and latents of a view, and the transformation between two views."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import LeftOut
from iebench.methods.parts.transformations import (
    DIMENSIONS,
    LATENTS,
    SCENE_GROUPS,
    Group,
    quaternion_from_euler,
    relative_transformation,
)

Target = Callable[[Tensor, Tensor], Tensor]
"""A function from latents (pairs, latents) of first and second views to the regression's targets."""

KNN = "classification_knn"
"""The task of classification by the nearest training views, which needs no fitting."""

LOW_SHOT = {"classification_1pct": 0.01, "classification_10pct": 0.1}
"""Shares of the objects to which linear classification is fitted, by the name of the task."""


@dataclass(frozen=True)
class ProbeTask:
    """One task, with the shape and length of its probe.

    Attributes:
        name: The task's name in results.
        views: Number of views that the probe sees: 1, or 2 of one object.
        head: Kind of probe, ``linear`` or ``mlp`` (two hidden layers).
        epochs: Number of passes over the objects.
        outputs: Number of outputs of the probe.
        target: Function that gives the regression's targets; None for classification.
        share: Share of the training objects to which the probe is fitted.
        is_standardized: Whether each target is divided by its standard deviation, so that all weigh alike.
    """

    name: str
    views: Literal[1, 2]
    head: Literal["linear", "mlp"]
    epochs: int
    outputs: int
    target: Target | None = None
    share: float = 1.0
    is_standardized: bool = False

    @property
    def is_classification(self) -> bool:
        """Whether the probe names the class of a view; otherwise it is a regression."""
        return self.target is None


def probe_tasks(
    latent_names: Sequence[str], classes: int, views_per_object: int, config: EvaluationConfig
) -> tuple[list[ProbeTask], list[LeftOut]]:
    """Lists the tasks that a dataset allows, and those that it does not; one view of each object makes no pair."""
    tasks: list[ProbeTask] = []
    left_out: list[LeftOut] = []
    if classes > 1:
        tasks.append(ProbeTask("classification", 1, "linear", config.epochs, classes))
        tasks += [
            ProbeTask(name, 1, "linear", config.epochs, classes, share=share)
            for name, share in LOW_SHOT.items()
        ]
    else:
        reason = "the dataset has one class only"
        left_out += [LeftOut(name, reason) for name in ("classification", *LOW_SHOT, KNN)]
    for group in SCENE_GROUPS:
        missing = [name for name in LATENTS[group] if name not in latent_names]
        names = ("color", "color_linear") if group == "color" else (group,)
        if missing and group == "translation":
            continue  # most datasets have no translation, and nobody misses it
        if missing or views_per_object < 2:
            reason = _missing(missing) if missing else "the dataset has one view of each object"
            left_out += [LeftOut(name, reason) for name in names]
            continue
        target = _between(group, latent_names)
        tasks.append(ProbeTask(group, 2, "mlp", config.epochs, DIMENSIONS[group], target))
        if group == "color":
            epochs = config.linear_color_epochs
            tasks.append(ProbeTask("color_linear", 2, "linear", epochs, DIMENSIONS[group], target))
    missing = [name for name in LATENTS["rotation"] if name not in latent_names]
    if missing:
        left_out.append(LeftOut("pose", _missing(missing)))
    else:
        tasks.append(ProbeTask("pose", 1, "mlp", config.epochs, 4, _pose(latent_names)))
    if latent_names:
        count = len(latent_names)
        tasks.append(ProbeTask("latents", 1, "mlp", config.epochs, count, _itself, is_standardized=True))
    return tasks, left_out


def _between(group: Group, latent_names: Sequence[str]) -> Target:
    """Returns the target that is the transformation from one view to another."""

    def target(first: Tensor, second: Tensor) -> Tensor:
        return relative_transformation(first, second, [group], latent_names)

    return target


def _pose(latent_names: Sequence[str]) -> Target:
    """Returns the target that is the rotation of a single view, as a quaternion."""
    columns = [list(latent_names).index(name) for name in LATENTS["rotation"]]

    def target(first: Tensor, second: Tensor) -> Tensor:
        return quaternion_from_euler(first[:, columns])

    return target


def _itself(first: Tensor, second: Tensor) -> Tensor:
    return first


def _missing(names: Sequence[str]) -> str:
    plural = "s" if len(names) > 1 else ""
    return f"the dataset lacks the latent{plural} {', '.join(names)}"


def targets_of(task: ProbeTask, first: Tensor, second: Tensor) -> Tensor:
    """Computes the targets (pairs, outputs) float32 of a regression."""
    assert task.target is not None
    return task.target(first, second).float()
