"""Computes 95 % intervals by bootstrap over objects.

Views of one object are not independent, so objects are drawn. A metric keeps what each object
contributes to it (``PerObject``): a resample is then a weighted sum over objects, and the same resamples serve
every metric and every network, which pairs their differences.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Literal

import numpy as np

from shards.files import atomic_write

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
CHUNK = 128
"""Number of resamples computed at once, which bounds memory to this times the number of objects."""
AUC_NUMBERS_IN_MEMORY = 2**22
"""Number of values that the AUCs of several resamples hold in memory at once."""

Statistic = Literal["mean", "class_mean", "r2", "median", "auc"]
"""The ways to compute a metric from what objects contribute; see ``PerObject``."""

NO_INTERVAL = "no interval: it takes at least two objects"
UNDEFINED = {
    "mean": "undefined: it would divide by zero",
    "class_mean": "undefined: no class has an object",
    "r2": "undefined: the targets do not vary",
    "median": "undefined: there is no pair",
    "auc": "undefined: one of the two kinds of views is missing",
}


@dataclass(frozen=True)
class Estimate:
    """A metric with its 95 % interval over objects and its chance level, ready for JSON: no NaN, no infinity.

    Attributes:
        value: Value of the metric; None if it is undefined.
        low: Lower end of the interval; None if there is no interval.
        high: Upper end of the interval; None if there is no interval.
        chance: Score of a predictor that knows nothing; None if the metric has no such level.
        objects: Number of objects that were resampled.
        note: Reason why value or interval is missing; empty if neither is.
    """

    value: float | None
    low: float | None
    high: float | None
    chance: float | None
    objects: int
    note: str = ""


@dataclass(frozen=True)
class PerObject:
    """The contributions of all objects to one metric.

    Attributes:
        statistic: Way in which the metric is computed.
        values: Contributions (objects, columns) float; the constructor of each statistic says which columns.
        chance: Chance level; None if the metric has none.
    """

    statistic: Statistic
    values: np.ndarray
    chance: float | None = None

    @staticmethod
    def ratio(number: np.ndarray, total: np.ndarray, chance: float | None = None) -> "PerObject":
        """Returns a metric that is a ratio of two sums over objects: sum of totals / sum of numbers.

        Its statistic is ``mean``, and its columns are [number, total].

        Args:
            number: Divisors (objects,), such as the number of views of each object.
            total: Dividends (objects,).
            chance: Chance level.
        """
        return PerObject("mean", np.stack((number, total), axis=1).astype(np.float64), chance)

    @staticmethod
    def mean_of(values: np.ndarray, chance: float | None = None) -> "PerObject":
        """Returns the mean over all views of values (objects, views), where NaN is left out; columns as of ``ratio``."""
        there = np.isfinite(values)
        return PerObject.ratio(there.sum(axis=1), np.where(there, values, 0).sum(axis=1), chance)

    @staticmethod
    def class_mean(number: np.ndarray, total: np.ndarray, chance: float | None = None) -> "PerObject":
        """Returns the mean over classes of total / number, both (objects, classes).

        Columns [a number for each class, a total for each class].
        """
        return PerObject("class_mean", np.concatenate((number, total), axis=1).astype(np.float64), chance)

    @staticmethod
    def r2(targets: np.ndarray, residuals: np.ndarray, chance: float | None = None) -> "PerObject":
        """Returns the mean over components of 1 - squared residuals / variation of the targets.

        Columns [number, sums of targets, sums of squared targets, sums of squared residuals], the last three with a
        column for each component. The pooled R² has one component that holds all numbers.

        Args:
            targets: Targets (objects, pairs, components), from which any constant may have been subtracted.
            residuals: Targets minus predictions (objects, pairs, components).
            chance: Chance level.
        """
        number = np.full((len(targets), 1), targets.shape[1], dtype=np.float64)
        sums = (targets.sum(axis=1), (targets**2).sum(axis=1), (residuals**2).sum(axis=1))
        return PerObject("r2", np.concatenate((number, *sums), axis=1), chance)

    @staticmethod
    def median(values: np.ndarray, chance: float | None = None) -> "PerObject":
        """Returns the median of values (objects, pairs), NaN where an object has fewer; a column for each pair."""
        return PerObject("median", values, chance)

    @staticmethod
    def auc(usual: np.ndarray, other: np.ndarray, chance: float | None = 0.5) -> "PerObject":
        """Returns the probability that a usual view scores higher than another one, ties counted half.

        Columns [k, k scores of usual views, scores of other views]; a score is NaN where an object has fewer views.
        """
        k = np.full((len(usual), 1), usual.shape[1])
        return PerObject("auc", np.concatenate((k, usual, other), axis=1).astype(np.float32), chance)

    @property
    def objects(self) -> int:
        return len(self.values)

    @property
    def value(self) -> float | None:
        """Computes the metric over all objects; returns None if it is undefined."""
        value = float(self.over(np.ones((1, self.objects)))[0])
        return value if math.isfinite(value) else None

    def over(self, counts: np.ndarray) -> np.ndarray:
        """Computes the metric of resamples from the numbers of times (resamples, objects) that each object was drawn.

        Returns:
            (resamples,) float64, NaN if a resample leaves the metric undefined.
        """
        if self.statistic in _FROM_PAIRS:
            return _FROM_PAIRS[self.statistic](counts, self.values)
        return self.of_sums(counts @ self.values.astype(np.float64))

    def of_sums(self, sums: np.ndarray) -> np.ndarray:
        """Computes the metric from sums (..., columns) over objects; medians and AUCs cannot be computed so."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return _FROM_SUMS[self.statistic](sums)

    def bootstrap(self, resamples: int = RESAMPLES, seed: int = SEED) -> "Bootstrap":
        """Computes the metric, and its value in each of the resamples."""
        return bootstrap_all({"": self}, resamples, seed)[""]

    def estimate(self, resamples: int = RESAMPLES, seed: int = SEED) -> Estimate:
        """Computes the metric with the percentile interval of its bootstrap."""
        return self.bootstrap(resamples, seed).estimate()


@dataclass(frozen=True)
class Bootstrap:
    """A metric of one run, with its value in each resample of objects.

    Attributes:
        value: Value of the metric; None if it is undefined.
        resampled: Values (resamples,) float64, NaN if undefined; empty with fewer than two objects.
        note: Reason why the value is missing; empty if it is not.
    """

    value: float | None
    resampled: np.ndarray
    chance: float | None
    objects: int
    note: str = ""

    def estimate(self) -> Estimate:
        """Returns the metric with its percentile interval."""
        if self.value is None:
            return Estimate(None, None, None, self.chance, self.objects, self.note)
        if not self.resampled.size:
            return Estimate(self.value, None, None, self.chance, self.objects, NO_INTERVAL)
        return Estimate(self.value, *percentile_interval(self.resampled), self.chance, self.objects)


def bootstrap_all(
    metrics: Mapping[str, PerObject], resamples: int = RESAMPLES, seed: int = SEED
) -> dict[str, Bootstrap]:
    """Bootstraps many metrics at once, which share their resamples; metrics of as many objects are paired."""
    found = {}
    for objects in dict.fromkeys(metric.objects for metric in metrics.values()):
        group = {name: metric for name, metric in metrics.items() if metric.objects == objects}
        resampled = _resample(list(group.values()), resamples, seed) if objects > 1 else None
        for number, (name, metric) in enumerate(group.items()):
            value = metric.value
            values = resampled[number] if resampled is not None else np.empty(0)
            note = UNDEFINED[metric.statistic] if value is None else ""
            found[name] = Bootstrap(value, values, metric.chance, objects, note)
    return {name: found[name] for name in metrics}


def _resample(metrics: Sequence[PerObject], resamples: int, seed: int) -> np.ndarray:
    """Computes the metrics (metrics, resamples); all sums of a chunk of resamples are one matrix product."""
    drawn = resample_counts(metrics[0].objects, resamples, seed)
    linear = [metric for metric in metrics if metric.statistic not in _FROM_PAIRS]
    columns = np.concatenate([np.empty((drawn.shape[1], 0)), *(metric.values for metric in linear)], axis=1)
    ends = np.cumsum([0, *(metric.values.shape[1] for metric in linear)])
    found = np.empty((len(metrics), resamples))
    for start in range(0, resamples, CHUNK):
        counts = drawn[start : start + CHUNK].astype(np.float64)
        sums = iter(np.split(counts @ columns, ends[1:-1], axis=1))
        for number, metric in enumerate(metrics):
            chunk = metric.over(counts) if metric.statistic in _FROM_PAIRS else metric.of_sums(next(sums))
            found[number, start : start + CHUNK] = chunk
    return found


@lru_cache(maxsize=2)
def resample_counts(objects: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """Draws how often each object is in each resample, as a function of its arguments alone.

    Returns:
        (resamples, objects) uint16; each row sums to the number of objects. The array must not be written to.
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
        path: File, which is written whole or not at all.
        metrics: Metrics by name; no name may hold ``|``.
    """
    with atomic_write(path) as file:
        write_per_object(file, metrics)


def write_per_object(file: IO[bytes], metrics: Mapping[str, PerObject]) -> None:
    """Writes what ``save_per_object`` stores into an open file."""
    arrays = {f"{metric.statistic}|{name}": metric.values for name, metric in metrics.items()}
    for name, metric in metrics.items():
        if metric.chance is not None:
            arrays[f"chance|{name}"] = np.array(metric.chance)
    np.savez_compressed(file, **arrays)


def load_per_object(source: Path | IO[bytes]) -> dict[str, PerObject]:
    """Reads what ``save_per_object`` stored."""
    with np.load(source, allow_pickle=False) as arrays:
        metrics = {}
        for key in arrays.files:
            statistic, _, name = key.partition("|")
            if statistic != "chance":
                chance = float(arrays[f"chance|{name}"]) if f"chance|{name}" in arrays else None
                metrics[name] = PerObject(statistic, arrays[key], chance)
    return metrics


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
    "mean": lambda sums: sums[..., 1] / sums[..., 0],
    "class_mean": _class_mean,
    "r2": _r2,
}


def _median(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Computes medians of resamples of pairs; pairs are sorted once, and each is repeated as its object was drawn.

    Only pairs near the middle are looked at. Of n objects, the share of pairs below a value varies between
    resamples by a standard deviation of at most 0.5 / sqrt(n), so the median of a resample lies within 4 / sqrt(n)
    of the middle; one that does not is found among all pairs.
    """
    is_there = np.isfinite(values)
    owner, pairs = np.nonzero(is_there)[0], values[is_there]
    if not pairs.size:
        return np.full(len(counts), np.nan)
    order = np.argsort(pairs, kind="stable")
    owner, pairs = owner[order], pairs[order]
    reach = min(0.5, 4 / np.sqrt(len(values))) * len(pairs)
    start, stop = int(len(pairs) / 2 - reach), int(np.ceil(len(pairs) / 2 + reach))
    below, total = (
        counts @ np.bincount(members, minlength=len(values)) for members in (owner[:start], owner)
    )
    ends = below[:, None] + np.cumsum(counts[:, owner[start:stop]], axis=1)
    medians = np.full(len(counts), np.nan)
    for row in np.flatnonzero(total):
        middle = ((total[row] - 1) // 2, total[row] // 2)
        if below[row] <= middle[0] and middle[1] < ends[row, -1]:
            medians[row] = pairs[start + np.searchsorted(ends[row], middle, side="right")].mean()
        else:
            reached = np.cumsum(counts[row, owner])
            medians[row] = pairs[np.searchsorted(reached, middle, side="right")].mean()
    return medians


def _auc(counts: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Computes AUCs of resamples; scores are sorted once, and each counts as often as its object was drawn.

    Example: usual views score 3 and 1, others 2 and 1. Sorted: 1 (usual), 1 (other), 2 (other), 3 (usual). The usual
    view at 1 is above no other and level with one (0.5), that at 3 is above both (2): AUC = 2.5 / 4.
    """
    usual = int(values[0, 0])
    scores = values[:, 1:]
    owner, column = np.nonzero(np.isfinite(scores))
    found = scores[owner, column]
    order = np.argsort(found, kind="stable")
    owner, is_usual, found = owner[order], column[order] < usual, found[order]
    first = np.searchsorted(found, found[is_usual], side="left")
    last = np.searchsorted(found, found[is_usual], side="right")
    mine, theirs = owner[is_usual], np.where(is_usual, -1, owner)
    aucs = []
    for drawn in np.array_split(counts, -(-counts.shape[0] * len(found) // AUC_NUMBERS_IN_MEMORY) or 1):
        # the last column, 0, is that of usual views
        padded = np.pad(drawn.astype(np.float64), ((0, 0), (0, 1)))
        below = np.pad(np.cumsum(padded[:, theirs], axis=1), ((0, 0), (1, 0)))
        usual_drawn = padded[:, mine]
        won = (usual_drawn * (below[:, first] + below[:, last])).sum(axis=1)
        with np.errstate(divide="ignore", invalid="ignore"):
            aucs.append(won / (2 * usual_drawn.sum(axis=1) * below[:, -1]))
    return np.concatenate(aucs)


_FROM_PAIRS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"median": _median, "auc": _auc}
"""Statistics that cannot be computed from sums over objects."""


def percentile_interval(resampled: np.ndarray) -> tuple[float | None, float | None]:
    """Computes the 95 % interval of a bootstrap; returns None twice if every resample is undefined."""
    known = resampled[np.isfinite(resampled)]
    if not known.size:
        return None, None
    low, high = np.quantile(known, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)
