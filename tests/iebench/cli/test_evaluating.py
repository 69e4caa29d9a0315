"""`iebench eval` of encoders from anywhere, as a person types it."""

import json
from pathlib import Path

import pytest
import torch

from commands import Result, call
from iebench.backbones.sie_resnet import sie_resnet18
from iebench.evaluation.results import TRAINED, Evaluation, read_evaluation
from iebench.training.loop import train
from small_runs import small_recipe
from toys import make_toy_dataset

QUICK = [
    *("--set", "evaluation.epochs=1", "--set", "evaluation.linear_color_epochs=1"),
    *("--set", "evaluation.hidden_width=8", "--set", "evaluation.workers=0", "--device", "cpu"),
]
COLORS = """
import torch

def colors(images):
    return torch.nn.functional.adaptive_avg_pool2d(images.float() / 255, 2).flatten(1)
"""


def evaluated(what: str, data: Path, out: Path, *more: str | Path) -> tuple[Result, Evaluation]:
    result = call("eval", what, "--data", data, "--out", out, *QUICK, *more)
    assert result.code == 0, result.err
    return result, read_evaluation(out)


@pytest.fixture
def function(tmp_path: Path) -> str:
    (tmp_path / "encoder.py").write_text(COLORS)
    return f"{tmp_path}/encoder.py:colors"


def test_a_function_in_a_file_gets_its_rotation_score_printed(
    function: str, toy_dataset: Path, tmp_path: Path
):
    result, found = evaluated(function, toy_dataset, tmp_path / "out")
    score = found.find(TRAINED, "rotation", "all", "r2")
    assert score is not None and score.value is not None
    assert found.networks[0].dimension == 12
    assert "Rotation between two views" in result.out
    assert f"{score.value:.3f} [" in result.out


def test_one_class_leaves_out_what_needs_two_and_measures_the_rest(function: str, tmp_path: Path):
    make_toy_dataset(tmp_path / "views", {"02876657": "bottle"})
    _, found = evaluated(function, tmp_path / "views", tmp_path / "out")
    reasons = {item.task: item.reason for item in found.left_out}
    named = {"classification", "classification_1pct", "classification_10pct", "classification_knn"}
    assert {task for task, reason in reasons.items() if reason == "the dataset has one class only"} == named
    assert not named & {score.task for score in found.scores}
    assert found.find(TRAINED, "pose", "all", "r2") is not None


def test_the_table_is_short_unless_all_is_asked_for(function: str, toy_dataset: Path, tmp_path: Path):
    result, found = evaluated(function, toy_dataset, tmp_path / "out")
    short = [line for line in result.out.splitlines()[1:] if line.startswith("  ")]
    assert len(short) < 15 < len(found.scores)
    assert f"{len(found.scores) - len(short)} more with --all" in result.out
    again, _ = evaluated(function, toy_dataset, tmp_path / "out", "--all")
    assert len([line for line in again.out.splitlines()[1:] if line.startswith("  ")]) == len(found.scores)
    assert "with --all" not in again.out


def test_a_timm_model_is_evaluated_by_its_name(toy_dataset: Path, tmp_path: Path):
    pytest.importorskip("timm")
    result, found = evaluated("timm:test_vit", toy_dataset, tmp_path / "out")
    assert found.networks[0].encoder == "timm:test_vit"
    assert found.find(TRAINED, "rotation", "all", "r2") is not None
    assert "random weights" in result.err


@pytest.mark.slow
def test_a_published_checkpoint_is_evaluated_with_its_parts(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("iebench.backbones.export.PUBLISHED_SIZE", 32)  # 256 takes a while
    heads = {f"module.projector_{name}.0.weight": torch.zeros(8, 256) for name in ("inv", "equi")}
    weights = {f"module.backbone.{name}": value for name, value in sie_resnet18().state_dict().items()}
    torch.save({"model": weights | heads}, tmp_path / "model.pth")
    _, found = evaluated(f"published:{tmp_path}/model.pth", toy_dataset, tmp_path / "out")
    assert {part for task, part, _ in found.estimates_of(TRAINED) if task == "rotation"} == {
        "all",
        "invariant",
        "equivariant",
    }


@pytest.mark.slow
def test_probes_are_fitted_to_the_dataset_of_fit_and_what_needs_another_is_named(
    toy_dataset: Path, toy_copy: Path, tmp_path: Path
):
    content = json.loads((toy_copy / "dataset.json").read_text())
    del content["splits"]["train"]
    (toy_copy / "dataset.json").write_text(json.dumps(content))
    run = tmp_path / "run"
    train(small_recipe("training.epochs=1"), toy_dataset, run, "cpu")
    result, found = evaluated(str(run), toy_copy, run, "--fit", toy_dataset)
    assert found.fit is not None
    assert (found.fit.location, found.test.location) == (str(toy_dataset), str(toy_copy))
    scores = found.estimates_of(TRAINED)
    assert ("rotation", "all", "r2") in scores and ("retrieval", "val-val", "mrr") in scores
    assert not any(part in ("val-all", "train-train") for _, part, _ in scores)
    for gallery in ("val-all", "train-train"):
        assert f"retrieval {gallery} is left out: it takes training views" in result.err
