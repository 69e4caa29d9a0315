import numpy as np
import pytest

from iebench.evaluation.differences import paired_difference, pool_seeds
from iebench.evaluation.intervals import Bootstrap, PerObject

OBJECTS, VIEWS = 80, 6


def hits(generator: np.random.Generator, mean: float = 0.5) -> np.ndarray:
    """(objects, views) whether views are classified: easy and hard objects, ``mean`` over all."""
    chances = generator.beta(mean, 1 - mean, size=(OBJECTS, 1))
    return (generator.random((OBJECTS, VIEWS)) < chances).astype(float)


def test_pairing_finds_a_difference_that_the_two_intervals_alone_would_hide():
    generator = np.random.default_rng(0)
    first = hits(generator)
    second = first.copy()
    second[::3, 0] = 0  # a little worse, on the same objects
    first_score, second_score = PerObject.mean_of(first), PerObject.mean_of(second)
    difference = paired_difference([first_score.bootstrap()], [second_score.bootstrap()])
    assert difference.value == pytest.approx(first.mean() - second.mean())
    assert difference.is_difference
    assert first_score.estimate().low < second_score.estimate().high
    same = paired_difference([first_score.bootstrap()], [first_score.bootstrap()])
    assert (same.low, same.high, same.is_difference) == (0, 0, False)


def test_equal_methods_are_called_different_5_times_in_100():
    generator = np.random.default_rng(1)
    called = [
        paired_difference(
            [PerObject.mean_of(hits(generator)).bootstrap()], [PerObject.mean_of(hits(generator)).bootstrap()]
        ).is_difference
        for _ in range(200)
    ]
    assert 0.01 < np.mean(called) < 0.1


def test_equal_methods_with_few_unlike_seeds_are_seldom_called_different():
    generator = np.random.default_rng(2)

    def runs() -> list[Bootstrap]:
        scores = [PerObject.mean_of(hits(generator, 0.5 + generator.normal() * 0.08)) for _ in range(3)]
        return [score.bootstrap() for score in scores]

    called = [paired_difference(runs(), runs()).is_difference for _ in range(150)]
    assert np.mean(called) < 0.1


def test_runs_that_differ_only_in_seed_become_mean_spread_and_number():
    generator = np.random.default_rng(0)
    runs = [PerObject.mean_of(hits(generator, mean), 0.2) for mean in (0.4, 0.5, 0.6)]
    summary = pool_seeds([run.bootstrap() for run in runs])
    values = [run.value for run in runs]
    assert summary.mean == pytest.approx(np.mean(values))
    assert summary.spread == pytest.approx(np.std(values, ddof=1))
    assert (summary.number, summary.chance, summary.objects) == (3, 0.2, OBJECTS)
    alone = pool_seeds([runs[0].bootstrap()])
    estimate = runs[0].estimate()
    assert (alone.low, alone.high, alone.spread) == (estimate.low, estimate.high, None)
    assert summary.high - summary.low > alone.high - alone.low  # seeds differ more than objects


def test_different_objects_are_not_paired():
    with pytest.raises(ValueError, match="same objects"):
        paired_difference(
            [PerObject.mean_of(np.ones((3, 2))).bootstrap()], [PerObject.mean_of(np.ones((4, 2))).bootstrap()]
        )
