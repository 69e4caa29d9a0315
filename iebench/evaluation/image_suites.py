"""The suites ``steering`` and ``linear``, whose tasks encode images of their own instead of reading stored features."""

from collections.abc import Collection

import torch

from iebench.backbones.encoder import EmbeddingPredictor, Encoder
from iebench.evaluation.linear_evaluation import LINEAR, LinearEvaluation, linear_left_out
from iebench.evaluation.protocol import EvaluationConfig, Suite
from iebench.evaluation.results import LeftOut
from iebench.evaluation.scoring import Scores
from iebench.evaluation.splits import Splits
from iebench.evaluation.steering import STEERING_TASKS, SteeringMeter, steering_left_out, steering_tasks

IMAGE_TASKS = (*STEERING_TASKS, LINEAR)
"""Tasks of the suites ``steering`` and ``linear``."""


def image_tasks_left_out(suites: Collection[Suite], splits: Splits) -> list[LeftOut]:
    """Lists the tasks of the two suites that the datasets do not allow, each with the reason."""
    steering = steering_left_out(splits) if "steering" in suites else []
    return [*steering, *(linear_left_out(splits) if "linear" in suites else [])]


def image_tasks(suites: Collection[Suite], predictor: EmbeddingPredictor | None, splits: Splits) -> list[str]:
    """Lists the tasks of the two suites that can be measured of a network with this predictor."""
    steering = steering_tasks(predictor, splits) if "steering" in suites else []
    is_linear = "linear" in suites and not linear_left_out(splits)
    return [*steering, *([LINEAR] if is_linear else [])]


def measure_images(
    tasks: Collection[str], encoder: Encoder, splits: Splits, config: EvaluationConfig, device: torch.device
) -> dict[tuple[str, str], Scores]:
    """Measures tasks of one network on the device, those of the steering suite first.

    Returns:
        Scores by task and part.

    Raises:
        IebenchError: A shard cannot be read.
    """
    meters = ((STEERING_TASKS, SteeringMeter), ((LINEAR,), LinearEvaluation))
    found: dict[tuple[str, str], Scores] = {}
    for of_suite, build in meters:
        asked = [task for task in of_suite if task in tasks]
        if asked:
            meter = build(encoder, splits, config, device)
            for task in asked:
                found |= {(task, part): scores for part, scores in meter.measure(task).items()}
    return found
