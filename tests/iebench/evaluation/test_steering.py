"""The steering suite: one encoding that is steered, beside as many encodings."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from evaluations import metrics_without_format
from iebench.augmentations.config import AugmentationConfig
from iebench.augmentations.parameters import PARAMETERS
from iebench.backbones.encoder import EmbeddingPredictor
from iebench.cli.evaluating import evaluate_networks
from iebench.evaluation.corruptions import CLEAN, CORRUPTIONS, Condition
from iebench.evaluation.evaluate import evaluate_encoder
from iebench.evaluation.protocol import EvaluationConfig
from iebench.evaluation.results import Evaluation
from iebench.evaluation.steered_pass import SteeredPass, linear_classifier
from iebench.evaluation.steering import STEERING_TASKS
from iebench.recipes.recipe import load_recipe
from iebench.training.loop import train
from shards.reader import View
from toys import rewrite_index

CONFIG = EvaluationConfig(steering_objects=8, workers=0)
COUNTS = ["1", "2", "4", "8", "16", "32", "64"]
FLIPS = AugmentationConfig(crop_scale=[1.0, 1.0], crop_ratio=[1.0, 1.0], jitter=0.0, grayscale=0.0)


class FlipPredictor(EmbeddingPredictor):
    """Flips an embedding that is an image of 8 x 8 pixels, where it is told so."""

    groups = ("flip",)
    latent_names = PARAMETERS
    augmentation = FLIPS

    def embed(self, representations: Tensor) -> Tensor:
        return representations

    def predict(self, embeddings: Tensor, transformation: Tensor) -> Tensor:
        images = embeddings.unflatten(1, (3, 8, 8))
        return torch.where(transformation[:, :, None, None] > 0.5, images.flip(-1), images).flatten(1)


def small_image(images: Tensor) -> Tensor:
    """(batch, 192): the image at 8 x 8 pixels."""
    return F.avg_pool2d(images.float() / 255, images.shape[-1] // 8).flatten(1)


def values(evaluation: Evaluation, task: str, part: str) -> dict[str, float]:
    return {
        score.metric: score.estimate.value
        for score in evaluation.scores
        if (score.task, score.part) == (task, part)
    }


@pytest.fixture(scope="module")
def exact(toy_dataset: Path) -> Evaluation:
    """A predictor that steers without any error."""
    return evaluate_encoder(
        small_image, toy_dataset, predictor=FlipPredictor(), config=CONFIG, suites=["steering"], device="cpu"
    )


@pytest.mark.slow
def test_an_exact_predictor_classifies_as_many_encodings_do(exact: Evaluation):
    for count in COUNTS:
        found = values(exact, "tta", count)
        assert found["top1_steered"] == pytest.approx(found["top1_images"])
        assert found["seconds_steered"] > 0 and found["seconds_images"] > 0
    for task in ("tta_corruption", "tta_detection"):
        found = values(exact, task, "all")
        kind = "top1" if task == "tta_corruption" else "auc"
        assert found[f"{kind}_steered"] == pytest.approx(found[f"{kind}_images"])
    assert {score.part for score in exact.scores if score.task == "tta_corruption"} == {"all", *CORRUPTIONS}


@pytest.mark.slow
def test_the_report_knows_every_metric_of_the_suite(exact: Evaluation):
    assert {score.task for score in exact.scores} == set(STEERING_TASKS)
    assert not metrics_without_format(exact)


@pytest.mark.slow
def test_an_exact_predictor_has_no_error_in_any_group_that_it_is_told(exact: Evaluation):
    for part in ("all", "flip"):
        assert values(exact, "augmentation_steps", part)["equivariance_error"] == pytest.approx(0, abs=1e-3)
    assert not values(exact, "augmentation_steps", "crop")


@pytest.mark.slow
def test_a_network_without_a_predictor_has_the_many_encodings_alone(toy_dataset: Path):
    found = evaluate_encoder(small_image, toy_dataset, config=CONFIG, suites=["steering"], device="cpu")
    assert set(values(found, "tta", "64")) == {"top1_images", "seconds_images"}
    assert set(values(found, "tta_detection", "all")) == {"auc_single", "auc_images"}
    assert not values(found, "augmentation_steps", "all")


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "counts"), [("steerable_small", COUNTS), ("demo", ["1", "2"])])
def test_runs_on_augmentations_and_on_renders_are_asked_the_same(
    toy_dataset: Path, tmp_path: Path, recipe: str, counts: list[str]
):
    small = ["training.batch_size=4", "training.epochs=1", "training.workers=0", "method.projector=[16, 8]"]
    quick = ["backbone.name=resnet10", "backbone.small_image_stem=false", "evaluation.workers=0"]
    run = tmp_path / "run"
    objects = ["evaluation.steering_objects=4"]
    train(load_recipe(recipe, [*small, *quick, *objects]), toy_dataset, run, "cpu")
    found = evaluate_networks([str(run)], toy_dataset, suites=["steering"], device="cpu")[str(run)]
    assert found.complete and found.suites == ("steering",)
    parts = [score.part for score in found.scores if score.task == "tta" and score.metric == "top1_steered"]
    assert sorted(parts, key=int) == counts
    assert bool(values(found, "augmentation_steps", "color_jitter")) == (recipe == "steerable_small")
    again = evaluate_networks([str(run)], toy_dataset, suites=["steering"], device="cpu")[str(run)]
    assert again == found


@pytest.mark.slow
def test_doubt_about_a_class_that_training_lacks_is_scored_apart_and_no_error(
    toy_dataset: Path, toy_copy: Path, monkeypatch: pytest.MonkeyPatch
):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["classes"][0] |= {"synset": "00000001", "name": "gadget"}
    classes = len(rewrite_index(toy_copy, content).classes)

    def run(
        _: SteeredPass, objects: Sequence[Sequence[View]], count: int, condition: Condition = CLEAN
    ) -> dict[str, np.ndarray]:
        """Names each class, in doubt only about the one that training lacks."""
        labels = np.array([views[0].metadata.label for views in objects])
        right = np.where(labels == 0, 0.3, 0.9)[:, None]
        single = (1 - right) / (classes - 1) + (right - (1 - right) / (classes - 1)) * np.eye(classes)[labels]
        seconds = np.ones((len(labels), 1))
        images = np.repeat(single[:, None], count, axis=1)
        return {
            "single": single,
            "single_seconds": seconds,
            "images": images,
            "images_seconds": seconds.repeat(count, axis=1),
        }

    monkeypatch.setattr(SteeredPass, "run", run)
    found = evaluate_encoder(
        small_image, toy_dataset, fit=toy_copy, config=CONFIG, suites=["steering"], device="cpu"
    )
    assert values(found, "tta_detection", "unknown_classes") == {"auc_single": 1.0, "auc_images": 1.0}
    assert values(found, "tta_detection", "all") == {"auc_single": 0.5, "auc_images": 0.5}
    assert values(found, "tta", "all")["top1_single"] == 1.0


def test_the_classifier_tells_what_can_be_told():
    rows = torch.randn(200, 5, generator=torch.Generator().manual_seed(0))
    labels = (rows[:, 0] > 0).long()
    probabilities = linear_classifier(rows, labels, 2)(rows)
    assert (probabilities.argmax(dim=1) == labels).float().mean() > 0.97
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(200))
