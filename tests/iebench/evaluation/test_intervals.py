"""Intervals: coverage in simulations with a known truth, and storage."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from iebench.evaluation.intervals import (
    PerObject,
    bootstrap_all,
    load_per_object,
    resample_counts,
    save_per_object,
)
from iebench.evaluation.scores import r2_by_object, r2_per_component_by_object

OBJECTS, VIEWS = 80, 6
TRIALS = 150
CLOSE_TO_95 = (0.91, 0.985)


def hits(generator: np.random.Generator, mean: float = 0.5) -> np.ndarray:
    """(objects, views) whether views are classified: easy and hard objects, ``mean`` over all."""
    chances = generator.beta(mean, 1 - mean, size=(OBJECTS, 1))
    return (generator.random((OBJECTS, VIEWS)) < chances).astype(float)


def covered(truth: float, scores: list[PerObject]) -> float:
    """The share of intervals that hold the truth."""
    estimates = [score.estimate(resamples=400) for score in scores]
    return float(np.mean([estimate.low <= truth <= estimate.high for estimate in estimates]))


def test_intervals_over_objects_cover_the_truth_95_times_in_100():
    generator = np.random.default_rng(0)
    drawn = [hits(generator) for _ in range(TRIALS)]
    low, high = CLOSE_TO_95
    assert low < covered(0.5, [PerObject.mean_of(values) for values in drawn]) < high
    # views of one object taken as independent: what the bootstrap over objects is there to avoid
    assert covered(0.5, [PerObject.mean_of(values.reshape(-1, 1)) for values in drawn]) < 0.8


@pytest.mark.parametrize("score", [r2_by_object, r2_per_component_by_object])
def test_intervals_of_r2_cover_the_truth(score):
    generator = torch.Generator().manual_seed(0)

    def draw(objects: int) -> PerObject:
        expected = torch.randn(objects, VIEWS, 3, generator=generator) + torch.tensor([0.0, 0.0, 1.0])
        noise = torch.rand(objects, 1, 1, generator=generator) * 1.5  # some objects are harder
        return score(expected + noise * torch.randn(expected.shape, generator=generator), expected)

    truth = draw(200_000).value
    low, high = CLOSE_TO_95
    assert low < covered(truth, [draw(OBJECTS) for _ in range(TRIALS)]) < high


def test_intervals_of_a_median_cover_the_truth():
    generator = np.random.default_rng(0)
    scores = [
        PerObject("median", generator.normal(size=(OBJECTS, 1)) + generator.normal(size=(OBJECTS, VIEWS)))
        for _ in range(TRIALS)
    ]
    low, high = CLOSE_TO_95
    assert low < covered(0.0, scores) < high


def test_a_median_of_resamples_equals_the_median_of_repeated_pairs():
    values = np.array([[3.0, 1.0], [8.0, np.nan], [2.0, 9.0]])
    score = PerObject("median", values)
    assert score.value == 3
    counts = np.array([[2, 1, 0], [0, 0, 3], [0, 2, 1]])
    by_hand = [np.nanmedian(np.repeat(values, row, axis=0)) for row in counts]
    assert score.over(counts).tolist() == by_hand


def test_medians_of_many_objects_are_exact_though_only_the_middle_is_looked_at():
    generator = np.random.default_rng(0)
    values = generator.normal(size=(400, 3)) + generator.normal(size=(400, 1))
    counts = resample_counts(400, 20).astype(float)
    counts[0] = 0
    counts[0, values.mean(axis=1).argmax()] = 400  # a resample whose median is far from the middle
    by_hand = [np.median(np.repeat(values, row.astype(int), axis=0)) for row in counts]
    assert PerObject("median", values).over(counts).tolist() == by_hand


def test_resamples_are_the_same_every_time_and_draw_as_many_objects_as_there_are():
    counts = resample_counts(37, 50, 3)
    assert (counts.sum(axis=1) == 37).all()
    resample_counts.cache_clear()
    assert np.array_equal(resample_counts(37, 50, 3), counts)
    assert not np.array_equal(resample_counts(37, 50, 4), counts)
    assert counts.mean(axis=0).std() < 0.25


def test_many_metrics_at_once_have_the_intervals_that_each_has_alone():
    generator = np.random.default_rng(0)
    expected = torch.from_numpy(generator.normal(size=(OBJECTS, VIEWS, 2)))
    metrics = {
        "mean": PerObject.mean_of(hits(generator)),
        "median": PerObject("median", generator.random((OBJECTS, VIEWS))),
        "r2": r2_per_component_by_object(expected * 0.9, expected),
        "of fewer objects": PerObject.mean_of(hits(generator)[:9]),
        "of one": PerObject.mean_of(hits(generator)[:1]),
    }
    found = bootstrap_all(metrics)
    assert list(found) == list(metrics)
    for name, metric in metrics.items():
        assert found[name].estimate() == metric.estimate()


def test_one_object_has_a_value_and_says_why_it_has_no_interval():
    estimate = PerObject.mean_of(np.array([[1.0, 0.0]]), 0.1).estimate()
    assert (estimate.value, estimate.low, estimate.high, estimate.chance) == (0.5, None, None, 0.1)
    assert "two objects" in estimate.note


def test_estimates_are_strict_json():
    undefined = PerObject("r2", np.zeros((4, 4))).estimate()
    text = json.dumps(dataclasses.asdict(undefined), allow_nan=False)
    assert json.loads(text)["value"] is None
    assert "do not vary" in undefined.note


def test_what_objects_contribute_survives_storage(tmp_path: Path):
    generator = np.random.default_rng(0)
    metrics = {
        "classification/all/top1": PerObject.mean_of(hits(generator), 0.16),
        "rotation/all/median_angle": PerObject("median", generator.random((OBJECTS, VIEWS))),
    }
    save_per_object(tmp_path / "scores.npz", metrics)
    found = load_per_object(tmp_path / "scores.npz")
    assert list(found) == list(metrics)
    for name, metric in metrics.items():
        assert found[name].estimate() == metric.estimate()
    assert [path.name for path in tmp_path.iterdir()] == ["scores.npz"]
