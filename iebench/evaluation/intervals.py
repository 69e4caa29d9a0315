"""Error bars: 95 % intervals by bootstrap over objects, paired differences, and runs that differ only in seed.

Views of one object are not independent, so objects are what is drawn. A metric keeps what each object
contributes to it (``PerObject``): a resample is then a weighted sum over objects, and the same resamples serve
every metric and every network, which pairs their differences.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import stats

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
CHUNK = 128
"""Resamples that are computed at once; bounds memory to this times the number of objects."""

Statistic = Literal["mean", "class_mean", "r2", "median"]
"""How a metric is computed from what objects contribute; see ``PerObject``."""

NO_INTERVAL = "no interval: it takes at least two objects"
UNDEFINED = {
    "mean": "undefined: it would divide by zero",
    "class_mean": "undefined: no class has an object",
    "r2": "undefined: the targets do not vary",
    "median": "undefined: there is no pair",
}


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval over objects and its chance level, ready for JSON: no NaN, no infinity.

    Attributes:
        value: The metric; None where it is undefined.
        low: Lower end of the interval; None where there is none.
        high: Upper end of the interval; None where there is none.
        chance: What a predictor that knows nothing scores; None where there is no such level.
        objects: Number of objects that were resampled.
        note: Why value or interval is missing; empty where nothing is.
    """

    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    objects: int
    note: str = ""


@dataclass(frozen=True)
class PerObject:
    """What each object contributes to a metric.

    The columns of ``values`` depend on the statistic:

    - ``mean``: [number, total]; the metric is total / number. Any ratio of two sums is one.
    - ``class_mean``: a number for each class, then a total for each; the mean over classes of total / number.
    - ``r2``: [number, sums of targets, sums of squared targets, sums of squared residuals], the last three with
      a column for each component; the mean over components of 1 - residuals / variation. The pooled R² has one
      component that holds all numbers.
    - ``median``: one value for each pair, NaN where an object has fewer; the median of all pairs.

    Attributes:
        statistic: How the metric is computed.
        values: (objects, columns) float.
        chance: The chance level; None where there is none.
    """

    statistic: Statistic
    values: np.ndarray
    chance: float | None = None

    @staticmethod
    def mean_of(values: np.ndarray, chance: float | None = None) -> "PerObject":
        """A metric that is the mean over all views of all objects.

        Args:
            values: (objects, views) float; NaN is left out.
            chance: The chance level.
        """
        there = np.isfinite(values)
        sums = np.stack((there.sum(axis=1), np.where(there, values, 0).sum(axis=1)), axis=1)
        return PerObject("mean", sums.astype(np.float64), chance)

    def with_chance(self, chance: float | None) -> "PerObject":
        """The same with another chance level."""
        return replace(self, chance=chance)

    @property
    def objects(self) -> int:
        """Number of objects."""
        return len(self.values)

    @property
    def value(self) -> float | None:
        """The metric over all objects; None where it is undefined."""
        return _finite(self.over(np.ones((1, self.objects)))[0])

    def over(self, counts: np.ndarray) -> np.ndarray:
        """The metric of resamples.

        Args:
            counts: (resamples, objects) how often each object was drawn.

        Returns:
            (resamples,) float64; NaN where a resample leaves the metric undefined.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            if self.statistic == "median":
                return _median(counts, self.values)
            return _FROM_SUMS[self.statistic](counts @ self.values.astype(np.float64))

    def resampled(self, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
        """The metric of each of the bootstrap's resamples of objects; NaN where it is undefined."""
        drawn = resample_counts(self.objects, resamples, seed)
        chunks = (drawn[start : start + CHUNK].astype(np.float64) for start in range(0, resamples, CHUNK))
        return np.concatenate([self.over(chunk) for chunk in chunks])

    def estimate(self, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
        """The metric with the percentile interval of its bootstrap."""
        value = self.value
        if value is None:
            return Estimate(None, None, None, self.chance, self.objects, UNDEFINED[self.statistic])
        if self.objects < 2:
            return Estimate(value, None, None, self.chance, self.objects, NO_INTERVAL)
        low, high = _percentiles(self.resampled(resamples, seed))
        return Estimate(value, low, high, self.chance, self.objects)


@dataclass(frozen=True)
class Difference:
    """How much more one method scores than another, on the same objects.

    Attributes:
        value: First minus second.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end of the 95 % interval; None where there is none.
        seeds: Runs of the first and of the second method.
    """

    value: float
    low: float | None
    high: float | None
    seeds: tuple[int, int]

    @property
    def is_difference(self) -> bool:
        """Whether the interval excludes zero; without one, there is nothing to call a difference."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high


@dataclass(frozen=True)
class SeedSummary:
    """A metric over runs that differ only in their seed.

    Attributes:
        mean: Over the runs.
        spread: Standard deviation over the runs; None of a single one.
        number: Of the runs.
        low: Lower end of the mean's 95 % interval; None where there is none.
        high: Upper end of the mean's 95 % interval; None where there is none.
        chance: The chance level.
        objects: Number of objects that were resampled.
    """

    mean: float
    spread: float | None
    number: int
    low: float | None
    high: float | None
    chance: float | None
    objects: int


def pool_seeds(runs: Sequence[PerObject]) -> SeedSummary | None:
    """Summarizes one metric of runs that differ only in seed, evaluated on the same objects.

    The interval of the mean covers both which objects were drawn and, with two runs or more, which seeds.

    Args:
        runs: The metric of each run, objects in one order.

    Returns:
        None where the metric of a run is undefined.
    """
    group = _Group.of(runs)
    if group is None:
        return None
    low, high = _combined(group.mean, group.resampled, (group,))
    return SeedSummary(
        group.mean,
        math.sqrt(group.variance) if group.number > 1 else None,
        group.number,
        low,
        high,
        runs[0].chance,
        runs[0].objects,
    )


def paired_difference(first: Sequence[PerObject], second: Sequence[PerObject]) -> Difference | None:
    """Compares two methods by one metric, paired by object: each resample draws the same objects for both.

    With one run each, the interval is over objects alone. With more, the variance over seeds is added, and a
    t quantile with Welch and Satterthwaite's degrees of freedom accounts for how few they are.

    Args:
        first: The metric of each run of the first method.
        second: The metric of each run of the second, the same objects in the same order.

    Returns:
        None where the metric of a run is undefined.

    Raises:
        ValueError: The runs have different numbers of objects.
    """
    one, other = _Group.of(first), _Group.of(second)
    if one is None or other is None:
        return None
    if first[0].objects != second[0].objects:
        raise ValueError("paired differences need the same objects on both sides")
    value = one.mean - other.mean
    low, high = _combined(value, one.resampled - other.resampled, (one, other))
    return Difference(value, low, high, (one.number, other.number))


@dataclass(frozen=True)
class _Group:
    """One metric of the runs of one method: mean, variance over runs, and the mean of each resample."""

    mean: float
    variance: float
    number: int
    resampled: np.ndarray

    @staticmethod
    def of(runs: Sequence[PerObject]) -> "_Group | None":
        values = [run.value for run in runs]
        known = [value for value in values if value is not None]
        if not known or len(known) < len(values):
            return None
        if len({run.objects for run in runs}) > 1:
            raise ValueError("runs are pooled on the same objects only")
        variance = float(np.var(known, ddof=1)) if len(known) > 1 else 0.0
        resampled = np.mean([run.resampled() for run in runs], axis=0) if runs[0].objects > 1 else np.empty(0)
        return _Group(float(np.mean(known)), variance, len(known), resampled)


def _combined(
    value: float, resampled: np.ndarray, groups: Sequence[_Group]
) -> tuple[float | None, float | None]:
    """The interval of a value: over objects by bootstrap, and over seeds where a group has several."""
    if not resampled.size:
        return None, None
    if all(group.number == 1 for group in groups):
        return _percentiles(resampled)
    objects = len(resampled) - 1
    of_objects = float(np.nanvar(resampled, ddof=1))
    terms = [(of_objects, objects)]
    terms += [(group.variance / group.number, group.number - 1) for group in groups if group.number > 1]
    variance = sum(term for term, _ in terms)
    if variance == 0:
        return value, value
    freedom = variance**2 / sum(term**2 / degrees for term, degrees in terms)
    reach = float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) * math.sqrt(variance)
    return value - reach, value + reach


@lru_cache(maxsize=2)
def resample_counts(objects: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """How often each object is drawn in each resample; a function of its arguments alone.

    Returns:
        (resamples, objects) uint16; each row sums to the number of objects. Not to be written to.
    """
    generator = np.random.Generator(np.random.Philox(seed))
    counts = np.empty((resamples, objects), dtype=np.uint16)
    for row in counts:
        row[:] = np.bincount(generator.integers(objects, size=objects), minlength=objects)
    counts.setflags(write=False)
    return counts


def save_per_object(path: Path, metrics: Mapping[str, PerObject]) -> None:
    """Stores what objects contribute to metrics, as a compressed ``.npz`` that holds arrays and no pickles.

    Args:
        path: The file; written whole or not at all.
        metrics: By name; a name holds no ``|``.
    """
    arrays = {f"{metric.statistic}|{name}": metric.values for name, metric in metrics.items()}
    arrays |= {
        f"chance|{name}": np.array(metric.chance)
        for name, metric in metrics.items()
        if metric.chance is not None
    }
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    partial.replace(path)


def load_per_object(path: Path) -> dict[str, PerObject]:
    """Reads what ``save_per_object`` stored."""
    with np.load(path, allow_pickle=False) as arrays:
        metrics: dict[str, PerObject] = {}
        for key in arrays.files:
            statistic, _, name = key.partition("|")
            if statistic != "chance":
                chance = float(arrays[f"chance|{name}"]) if f"chance|{name}" in arrays else None
                metrics[name] = PerObject(statistic, arrays[key], chance)
    return metrics


def _mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 1] / sums[..., 0]


def _class_mean(sums: np.ndarray) -> np.ndarray:
    number, total = np.split(sums, 2, axis=-1)
    is_there = number > 0
    return np.where(is_there, total / number, 0).sum(axis=-1) / is_there.sum(axis=-1)


def _r2(sums: np.ndarray) -> np.ndarray:
    number = sums[..., :1]
    first, second, residual = np.split(sums[..., 1:], 3, axis=-1)
    variation = second - first**2 / number
    is_there = variation > 0
    return np.where(is_there, 1 - residual / variation, 0).sum(axis=-1) / is_there.sum(axis=-1)


_FROM_SUMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "mean": _mean,
    "class_mean": _class_mean,
    "r2": _r2,
}


def _median(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Medians of resamples of pairs: the pairs are sorted once, and each is repeated as its object was drawn."""
    owner, _ = np.nonzero(np.isfinite(values))
    pairs = values[np.isfinite(values)]
    if not pairs.size:
        return np.full(len(counts), np.nan)
    order = np.argsort(pairs, kind="stable")
    pairs, reached = pairs[order], np.cumsum(counts[:, owner[order]], axis=1)
    medians = np.empty(len(counts))
    for row, ends in enumerate(reached):
        middle = ((ends[-1] - 1) // 2, ends[-1] // 2)
        medians[row] = pairs[np.searchsorted(ends, middle, side="right")].mean() if ends[-1] else np.nan
    return medians


def _percentiles(resampled: np.ndarray) -> tuple[float | None, float | None]:
    known = resampled[np.isfinite(resampled)]
    if not known.size:
        return None, None
    low, high = np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
