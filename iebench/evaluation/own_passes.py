"""Suites whose tasks encode images of their own, beside the features that all probes share."""

from collections.abc import Collection, Iterator

import torch

from iebench.backbones.encoder import EmbeddingPredictor, Encoder
from iebench.evaluation.linear_evaluation import LINEAR, LinearEvaluation, linear_left_out
from iebench.evaluation.protocol import EvaluationConfig, Suite
from iebench.evaluation.results import LeftOut
from iebench.evaluation.scoring import Scores
from iebench.evaluation.splits import Splits
from iebench.evaluation.steering import STEERING_TASKS, SteeringMeter, steering_left_out, steering_tasks

OWN_TASKS = (*STEERING_TASKS, LINEAR)
"""Tasks of the suites ``steering`` and ``linear``."""


def own_left_out(suites: Collection[Suite], splits: Splits) -> list[LeftOut]:
    """Lists the tasks that the datasets do not allow, each with the reason."""
    steering = steering_left_out(splits) if "steering" in suites else []
    return [*steering, *(linear_left_out(splits) if "linear" in suites else [])]


def own_tasks(suites: Collection[Suite], predictor: EmbeddingPredictor | None, splits: Splits) -> list[str]:
    """Lists the tasks that can be measured of a network with this predictor."""
    steering = steering_tasks(predictor, splits) if "steering" in suites else []
    is_linear = "linear" in suites and not linear_left_out(splits)
    return [*steering, *([LINEAR] if is_linear else [])]


def measure_own(
    tasks: Collection[str],
    encoder: Encoder,
    splits: Splits,
    config: EvaluationConfig,
    device: torch.device,
) -> Iterator[tuple[str, str, Scores]]:
    """Measures tasks of one network.

    Args:
        tasks: Names from ``OWN_TASKS``.
        encoder: Network on the device.
        splits: Splits of the evaluation.
        config: Settings with the lengths of passes.
        device: Device on which the network runs.

    Yields:
        Task, part of the scores, and the scores.

    Raises:
        IebenchError: A shard cannot be read.
    """
    steering = [task for task in STEERING_TASKS if task in tasks]
    meters: list[tuple[list[str], type[SteeringMeter | LinearEvaluation]]] = [
        (steering, SteeringMeter),
        ([LINEAR] if LINEAR in tasks else [], LinearEvaluation),
    ]
    for asked, build in meters:
        meter = build(encoder, splits, config, device) if asked else None
        for task in asked:
            assert meter is not None
            for part, scores in meter.measure(task).items():
                yield task, part, scores
