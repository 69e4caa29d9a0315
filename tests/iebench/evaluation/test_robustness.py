import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor, nn

from commands import call
from evaluations import metrics_without_format
from iebench.evaluation import EvaluationConfig, corruptions, evaluate_encoder, features, session
from iebench.evaluation.corruptions import CORRUPTED, CORRUPTIONS, Condition
from iebench.evaluation.intervals import PerObject
from iebench.evaluation.results import TRAINED, read_evaluation
from iebench.evaluation.robustness import Answers, score_corruptions, shift_scores
from shards.errors import UsageError
from toys import rewrite_index

SHORT = EvaluationConfig(epochs=2, linear_color_epochs=2, hidden_width=8, workers=0)
ENCODER = """
import torch

def colors(images):
    return torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)
"""


def mean_colors(images: Tensor) -> Tensor:
    return nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)


def answers(hits: np.ndarray, scores: np.ndarray | None = None, first: int = 0) -> Answers:
    scores = hits.astype(np.float32) if scores is None else scores.astype(np.float32)
    return Answers(hits, scores, -scores, [("a", str(first + number)) for number in range(len(hits))])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Corruptions that only make an image brighter, for tests that are about anything else."""

    def brighter(image: np.ndarray, condition: Condition, name: str) -> np.ndarray:
        return image + np.uint8(10 * condition.severity)

    monkeypatch.setattr(corruptions, "corrupted_image", brighter)
    for module in (session, features):
        monkeypatch.setattr(module, "load_corrupt", lambda: None)


@pytest.fixture
def ood_dataset(toy_copy: Path) -> Path:
    """A dataset that is called otherwise, with validation views only."""
    content = json.loads((toy_copy / "dataset.json").read_text())
    del content["splits"]["train"]
    content["variant"] = "ood"
    rewrite_index(toy_copy, content)
    return shutil.move(toy_copy, toy_copy.with_name("ood"))


def test_accuracies_are_means_over_conditions_and_relative_to_clean_views():
    generator = np.random.default_rng(0)
    clean = answers((generator.random((40, 1)) < 0.9).astype(float))
    corrupted = answers((generator.random((40, 75)) < 0.6).astype(float))
    scores = score_corruptions(clean, corrupted, 0.25)
    for number, name in enumerate(CORRUPTIONS):
        assert CORRUPTED[5 * number].corruption == name
        chosen = corrupted.hits[:, 5 * number : 5 * number + 5]
        assert scores[name]["top1"].value == pytest.approx(chosen.mean())
    assert scores["severity_2"]["top1"].value == pytest.approx(corrupted.hits[:, 1::5].mean())
    assert scores["all"]["top1"].value == pytest.approx(corrupted.hits.mean())
    assert scores["all"]["top1"].chance == 0.25
    relative = scores["all"]["top1_relative"].estimate()
    assert relative.value == pytest.approx(corrupted.hits.mean() / clean.hits.mean())
    assert relative.low is not None and relative.high is not None
    assert relative.low < relative.value < relative.high


def test_the_auc_over_all_corruptions_is_the_mean_of_their_aucs():
    generator = np.random.default_rng(1)
    clean = answers(np.ones((30, 2)), generator.random((30, 2)) + 0.3)
    corrupted = answers(np.ones((30, 150)), generator.random((30, 150)))
    scores = score_corruptions(clean, corrupted, None)
    found = [scores[name]["auc_confidence"].value for name in CORRUPTIONS]
    assert scores["all"]["auc_confidence"].value == pytest.approx(np.mean(found))
    assert scores["all"]["auc_neighbors"].value == pytest.approx(1 - np.mean(found))


def test_classes_that_training_lacks_are_not_counted_as_errors():
    hits = np.array([[1.0], [np.nan], [0.0]])
    assert shift_scores(answers(np.ones((3, 1))), answers(hits), None)["top1"].value == 0.5


def test_views_of_other_objects_are_told_apart_as_well():
    usual = answers(np.ones((20, 1)), np.full((20, 1), 0.9))
    other = answers(np.zeros((30, 2)), np.full((30, 2), 0.3), first=15)
    scores = shift_scores(usual, other, None)
    assert scores["auc_confidence"].estimate().low == 1
    assert scores["auc_neighbors"].estimate().high == 0
    assert scores["auc_confidence"].objects == 45
    assert scores["top1"].value == 0
    assert scores["top1_relative"].value == 0


def test_auc_is_scikit_learns_with_ties_and_in_resamples():
    from sklearn.metrics import roc_auc_score

    generator = np.random.default_rng(2)
    usual, other = generator.integers(0, 9, (25, 2)) + 2, generator.integers(0, 9, (25, 5))
    found = PerObject.auc(usual.astype(float), other.astype(float))
    counts = np.stack([np.ones(25, int), np.bincount(generator.integers(25, size=25), minlength=25)])
    for row, value in zip(counts, found.over(counts), strict=True):
        ones, zeros = usual.repeat(row, axis=0).flatten(), other.repeat(row, axis=0).flatten()
        labels = np.concatenate((np.ones(len(ones)), np.zeros(len(zeros))))
        assert value == pytest.approx(roc_auc_score(labels, np.concatenate((ones, zeros))))


@pytest.mark.usefixtures("quick")
def test_any_encoder_is_measured_under_corruptions_and_nothing_else(toy_dataset: Path, tmp_path: Path):
    result = evaluate_encoder(
        mean_colors, toy_dataset, config=SHORT, out=tmp_path, device="cpu", suites=["robustness"]
    )
    scores = result.estimates_of(TRAINED)
    assert {task for task, _, _ in scores} == {"corruption"}
    assert {part for _, part, _ in scores} >= {"all", "clean", "severity_5", *CORRUPTIONS}
    assert result.complete and result.suites == ("robustness",)
    assert not metrics_without_format(result)
    assert not (tmp_path / "features").exists()
    for metric in ("top1", "auc_confidence", "auc_neighbors"):
        by_corruption = [scores["corruption", name, metric].value for name in CORRUPTIONS]
        assert scores["corruption", "all", metric].value == pytest.approx(np.mean(by_corruption))


@pytest.mark.usefixtures("quick")
def test_another_suite_adds_to_what_is_known_and_measures_nothing_twice(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def evaluate(*suites: str) -> dict[str, float | None]:
        result = evaluate_encoder(
            mean_colors, toy_dataset, config=SHORT, out=tmp_path, device="cpu", suites=suites
        )
        return {score.stored_name: score.estimate.value for score in result.scores}

    standard = evaluate("standard")
    both = evaluate("robustness")
    assert standard.items() <= both.items()
    assert read_evaluation(tmp_path).suites == ("standard", "robustness")

    def refuse(*arguments: object) -> None:
        raise AssertionError("everything is known")

    monkeypatch.setattr(session, "FeatureReader", refuse)
    assert evaluate("robustness", "standard") == both


@pytest.mark.usefixtures("quick")
def test_a_stopped_suite_goes_on_behind_its_last_chunk(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = []

    class Meter(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(len(images))
            return mean_colors(images)

    def evaluate() -> dict[str, float | None]:
        result = evaluate_encoder(
            Meter(), toy_dataset, config=SHORT, out=tmp_path, device="cpu", suites=["robustness"]
        )
        return {score.stored_name: score.estimate.value for score in result.scores}

    def stop(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(session, "ShiftMeter", stop)
        evaluate()
    first = sum(seen)
    seen.clear()
    resumed = evaluate()
    assert sum(seen) < 10 < first  # only whether the encoder fits, and its fingerprint
    shutil.rmtree(tmp_path / "evaluations")
    assert evaluate() == resumed


@pytest.mark.slow
def test_the_command_measures_corruptions_and_views_outside_the_range(
    toy_dataset: Path, ood_dataset: Path, tmp_path: Path
):
    (tmp_path / "encoder.py").write_text(ENCODER)
    command = ["eval", f"{tmp_path}/encoder.py:colors", "--data", toy_dataset, "--out", tmp_path / "out"]
    command += ["--set", "evaluation.epochs=2", "--set", "evaluation.workers=0", "--device", "cpu"]
    command += ["--suite", "robustness"]
    result = call(*command, "--ood", ood_dataset)
    assert result.code == 0, result.err
    assert "Corrupted views" in result.out and "Views outside the training range" in result.out
    found = read_evaluation(tmp_path / "out")
    assert found.ood is not None and found.ood.variant == "ood"
    scores = found.estimates_of(TRAINED)
    assert scores["ood", "all", "auc_confidence"].value == 0.5  # the same views
    assert scores["ood", "all", "top1"].value == scores["corruption", "clean", "top1"].value
    again = call(*command)
    assert again.code == 0, again.err
    assert read_evaluation(tmp_path / "out") == found


def test_a_dataset_outside_the_range_needs_its_suite(toy_dataset: Path):
    with pytest.raises(UsageError, match="--suite robustness"):
        evaluate_encoder(mean_colors, toy_dataset, config=SHORT, ood=toy_dataset)


def test_without_training_views_robustness_is_left_out_by_name(toy_dataset: Path, ood_dataset: Path):
    result = evaluate_encoder(
        mean_colors, ood_dataset, config=SHORT, device="cpu", suites=["robustness"], ood=toy_dataset
    )
    assert {item.task for item in result.left_out} == {"corruption", "ood"}
    assert not result.scores


@pytest.mark.usefixtures("quick")
def test_the_number_of_shown_views_is_a_setting(toy_dataset: Path, tmp_path: Path):
    counts = []

    def count(images: Tensor) -> Tensor:
        counts.append(len(images))
        return mean_colors(images)

    for views in (1, 2):
        config = SHORT.model_copy(update={"robustness_views": views, "epochs": 1})
        counts.append(0)
        evaluate_encoder(count, toy_dataset, config=config, device="cpu", suites=["robustness"])
    start = counts.index(0, 1)
    objects = read_objects_of_val(toy_dataset)
    assert sum(counts[start:]) - sum(counts[:start]) == 76 * objects


def read_objects_of_val(folder: Path) -> int:
    return json.loads((folder / "dataset.json").read_text())["splits"]["val"]["objects"]
