"""Differences between methods on the same objects, and means over runs that differ only in their seed."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from iebench.evaluation.intervals import LEVEL, Bootstrap, percentile_interval


@dataclass(frozen=True)
class Difference:
    """The score of one method minus that of another on the same objects.

    Attributes:
        low: Lower end of the 95 % interval; None if there is no interval.
        high: Upper end of the 95 % interval; None if there is no interval.
        seeds: Number of runs of the first and of the second method.
    """

    value: float
    low: float | None
    high: float | None
    seeds: tuple[int, int]

    @property
    def is_difference(self) -> bool:
        """Whether the interval excludes zero; False if there is no interval."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class SeedSummary:
    """Summary of a metric over runs that differ only in their seed.

    Attributes:
        spread: Standard deviation over the runs; None for a single run.
        number: Number of runs.
        low: Lower end of the mean's 95 % interval; None if there is no interval.
        high: Upper end of the 95 % interval; None if there is no interval.
        objects: Number of objects that were resampled.
    """

    mean: float
    spread: float | None
    number: int
    low: float | None
    high: float | None
    chance: float | None
    objects: int


def pool_seeds(
    runs: Sequence[Bootstrap], bounds: tuple[float, float] = (-math.inf, math.inf)
) -> SeedSummary | None:
    """Summarizes one metric of runs that differ only in seed, evaluated on the same objects.

    The interval of the mean covers the choice of objects and, with two runs or more, the choice of seeds.

    Args:
        runs: Resamples of the metric of each run, with objects in one order.
        bounds: Least and greatest value that the metric can have; the interval is cut there.

    Returns:
        None if the metric of a run is undefined.
    """
    group = _Group.from_runs(runs)
    if group is None:
        return None
    low, high = (
        None if end is None else min(max(end, bounds[0]), bounds[1])
        for end in _combined(group.mean, group.resampled, (group,))
    )
    return SeedSummary(
        group.mean,
        math.sqrt(group.variance) if group.number > 1 else None,
        group.number,
        low,
        high,
        runs[0].chance,
        runs[0].objects,
    )


def paired_difference(first: Sequence[Bootstrap], second: Sequence[Bootstrap]) -> Difference | None:
    """Compares two methods by one metric, paired by object: each resample draws the same objects for both.

    With one run each, the interval is over objects alone. With more, the variance over seeds is added, and a
    t quantile with Welch and Satterthwaite's degrees of freedom accounts for how few they are.

    Args:
        first: Resamples of the metric of each run of the first method.
        second: Resamples of each run of the second method, with the same objects in the same order.

    Returns:
        None if the metric of a run is undefined.

    Raises:
        ValueError: The runs have different numbers of objects.
    """
    one, other = _Group.from_runs(first), _Group.from_runs(second)
    if one is None or other is None:
        return None
    if first[0].objects != second[0].objects:
        raise ValueError("paired differences need the same objects on both sides")
    value = one.mean - other.mean
    low, high = _combined(value, one.resampled - other.resampled, (one, other))
    return Difference(value, low, high, (one.number, other.number))


@dataclass(frozen=True)
class _Group:
    """One metric of one method's runs: the mean, the variance over runs, and the mean of each resample."""

    mean: float
    variance: float
    number: int
    resampled: np.ndarray

    @staticmethod
    def from_runs(runs: Sequence[Bootstrap]) -> "_Group | None":
        values = [run.value for run in runs if run.value is not None]
        if not values or len(values) < len(runs):
            return None
        if len({run.objects for run in runs}) > 1:
            raise ValueError("runs are pooled on the same objects only")
        variance = float(np.var(values, ddof=1)) if len(values) > 1 else 0.0
        resampled = np.mean([run.resampled for run in runs], axis=0)
        return _Group(float(np.mean(values)), variance, len(values), resampled)


def _combined(
    value: float, resampled: np.ndarray, groups: Sequence[_Group]
) -> tuple[float | None, float | None]:
    """Computes the interval of a value over objects, and over seeds if a group has several."""
    if not resampled.size:
        return None, None
    if all(group.number == 1 for group in groups):
        return percentile_interval(resampled)
    objects = len(resampled) - 1
    of_objects = float(np.nanvar(resampled, ddof=1))
    terms = [(of_objects, objects)]
    terms += [(group.variance / group.number, group.number - 1) for group in groups if group.number > 1]
    variance = sum(term for term, _ in terms)
    if variance == 0:
        return value, value
    freedom = variance**2 / sum(term**2 / degrees for term, degrees in terms)
    reach = float(stdtrit(freedom, 0.5 + LEVEL / 2)) * math.sqrt(variance)
    return value - reach, value + reach
