"""Scores on held-out objects while a training goes on, which they must not touch."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from iebench import train
from iebench.report.plots import training_panels
from iebench.training.loading import to_device
from iebench.training.metrics_log import read_metrics
from iebench.training.model import Model, build_model
from iebench.training.precision import Precision
from iebench.training.validation import Validation, read_validation_pairs
from shards.batches import DrawBatch, ViewBatch
from shards.schema import DatasetIndex, open_dataset
from shards.stream import DrawSettings, DrawStream
from small_runs import losses, numbers, small_recipe

SCORES = {"val_knn_top1", "val_online_top1", "val_online_rotation_r2"}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def index(toy_dataset: Path) -> DatasetIndex:
    return open_dataset(toy_dataset)


@pytest.fixture(scope="module")
def model(toy_dataset: Path, index: DatasetIndex) -> Model:
    """A model whose batch norms have seen a batch."""
    found = build_model(small_recipe(), index)
    pair: DrawBatch = next(iter(DrawStream(toy_dataset, index, "train", DrawSettings(4))))
    with torch.no_grad():
        found(*to_device((pair,), CPU))
    return found


def test_validation_leaves_weights_modes_and_random_numbers_alone(
    toy_dataset: Path, index: DatasetIndex, model: Model
):
    model.method.eval()
    modes = [module.training for module in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    validation, random_state = (
        Validation(toy_dataset, index, Precision("float32", CPU)),
        torch.get_rng_state(),
    )
    scores = validation.scores(model)
    assert set(scores) == SCORES
    assert validation.scores(model) == scores
    assert [module.training for module in model.modules()] == modes
    assert len(set(modes)) == 2
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_the_objects_are_read_once(
    toy_dataset: Path, index: DatasetIndex, model: Model, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def read(data: Path, index: DatasetIndex, split: str) -> ViewBatch:
        asked.append(split)
        return read_validation_pairs(data, index, split)

    monkeypatch.setattr("iebench.training.validation.read_validation_pairs", read)
    validation = Validation(toy_dataset, index, Precision("float32", CPU))
    assert validation.scores(model) == validation.scores(model)
    assert asked == ["train", "val"]


def test_the_scores_are_of_validation_objects_by_their_neighbors_and_heads(
    toy_dataset: Path, index: DatasetIndex, model: Model
):
    scores = Validation(toy_dataset, index, Precision("float32", CPU)).scores(model)
    train_pairs, val_pairs = (read_validation_pairs(toy_dataset, index, split) for split in ("train", "val"))
    assert len(val_pairs.labels) == 2 * index.split("val").objects
    was_training = model.training
    model.eval()
    with torch.no_grad():
        gallery, queries = (model.represent(pairs.views) for pairs in (train_pairs, val_pairs))
        similarity = F.normalize(queries, dim=1) @ F.normalize(gallery, dim=1).T
        nearest = similarity.topk(min(20, len(gallery)), dim=1)
        votes = torch.zeros(len(queries), len(index.classes))
        votes.scatter_add_(1, train_pairs.labels[nearest.indices], (nearest.values / 0.07).exp())
        guessed = model.online.classifiers["representation"](queries).argmax(dim=1)
    model.train(was_training)
    right = (votes.argmax(dim=1) == val_pairs.labels).float().mean().item()
    assert scores["val_knn_top1"] == pytest.approx(right)
    assert scores["val_online_top1"] == pytest.approx((guessed == val_pairs.labels).float().mean().item())


@pytest.mark.slow
def test_a_training_has_the_same_losses_with_validation_and_without(toy_dataset: Path, tmp_path: Path):
    quick = ("training.epochs=2", "training.batch_size=18", "training.checkpoint_every=1000")
    for name, epochs in (("with", 1), ("without", 1000)):
        recipe = small_recipe(*quick, f"training.validate_every={epochs}")
        train(recipe, toy_dataset, tmp_path / name, "cpu")
    assert losses(tmp_path / "with") == losses(tmp_path / "without")
    plain = [
        {key: record[key] for key in record if key not in SCORES} for record in numbers(tmp_path / "with")
    ]
    assert plain == numbers(tmp_path / "without")
    records = read_metrics(tmp_path / "with" / "metrics.jsonl")
    validated = [record["epoch"] for record in records if set(record) >= SCORES]
    assert len(validated) == 2
    assert validated[-1] == pytest.approx(2, abs=0.3)
    keys = [panel.key for panel in training_panels([("run", records)], {})]
    assert set(keys[:3]) == SCORES
    assert keys[3] == "loss"
