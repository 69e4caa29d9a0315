"""EquiMod's linear evaluation: the network encodes new crops each epoch, and that is counted."""

from pathlib import Path

import pytest
from torch import Tensor

from evaluations import metrics_without_format
from iebench.evaluation.evaluate import evaluate_encoder
from iebench.evaluation.linear_evaluation import BATCH
from iebench.evaluation.protocol import EvaluationConfig
from shards.schema import open_dataset


def test_every_epoch_encodes_every_training_picture_once_and_the_cost_is_told(toy_dataset: Path):
    index, calls = open_dataset(toy_dataset), []

    def mean_color(images: Tensor) -> Tensor:
        calls.append(images)
        return images.float().mean(dim=(2, 3)) / 255

    config = EvaluationConfig(linear_evaluation_epochs=5, workers=0)
    found = evaluate_encoder(mean_color, toy_dataset, config=config, suites=["linear"], device="cpu")
    train, val = index.split("train"), index.split("val")
    assert train.objects < BATCH
    cost = found.find("trained", "linear_evaluation", "all", "images_encoded")
    assert cost is not None and cost.value == pytest.approx((5 * train.objects + val.views) / val.objects)
    shown = [images for images in calls if len(images) == train.objects]
    assert len(shown) == 5 and not (shown[0] == shown[1]).all()
    top1 = found.find("trained", "linear_evaluation", "all", "top1")
    assert top1 is not None and 0 <= top1.value <= 1 and top1.objects == val.objects
    assert {score.task for score in found.scores} == {"linear_evaluation"}
    assert not metrics_without_format(found)
