"""Says how each metric is named, printed and compared. A new metric needs a line here (docs/evaluation.md)."""

import math
from collections.abc import Callable
from typing import NamedTuple

from shards.errors import IebenchError


def percent(value: float) -> str:
    return f"{value:.1%}"


def three_digits(value: float) -> str:
    """Formats a score without unit."""
    return f"{value:.3f}" if abs(value) < 100 else f"{value:,.0f}"


def degrees(value: float) -> str:
    return f"{value:.1f}°"


def milliseconds(value: float) -> str:
    """Formats a time in seconds as milliseconds."""
    return f"{1000 * value:.2f} ms"


Bounds = tuple[float, float]

SHARE: Bounds = (0.0, 1.0)
ANGLE: Bounds = (0.0, 180.0)
AT_MOST_1: Bounds = (-math.inf, 1.0)
POSITIVE: Bounds = (0.0, math.inf)
ANY: Bounds = (-math.inf, math.inf)


class MetricFormat(NamedTuple):
    """The format of a metric: how it is named, printed and compared.

    Attributes:
        name: Name of its row in tables.
        bounds: Least and greatest possible value, beyond which the interval over several seeds does not reach.
    """

    name: str
    show: Callable[[float], str]
    higher_is_better: bool
    bounds: Bounds


METRICS: dict[str, MetricFormat] = {
    "top1": MetricFormat("top-1", percent, True, SHARE),
    "top5": MetricFormat("top-5", percent, True, SHARE),
    "class_accuracy": MetricFormat("mean per-class accuracy", percent, True, SHARE),
    "top1_relative": MetricFormat("top-1 as a share of that on clean views", percent, True, POSITIVE),
    "auc_confidence": MetricFormat("detection by low confidence, AUROC", three_digits, True, SHARE),
    "auc_neighbors": MetricFormat(
        "detection by distance to training views, AUROC", three_digits, True, SHARE
    ),
    "top1_single": MetricFormat("top-1 of one encoding", percent, True, SHARE),
    "top1_images": MetricFormat("top-1 of averaged encodings", percent, True, SHARE),
    "top1_steered": MetricFormat("top-1 of steered embeddings", percent, True, SHARE),
    "seconds_single": MetricFormat("time of one encoding", milliseconds, False, ANY),
    "seconds_images": MetricFormat("time of the encodings", milliseconds, False, ANY),
    "seconds_steered": MetricFormat("time of one encoding and the steps", milliseconds, False, ANY),
    "images_encoded": MetricFormat("images encoded for a validation object", three_digits, False, ANY),
    "seconds": MetricFormat("time for a validation object", milliseconds, False, ANY),
    "auc_single": MetricFormat("AUC of one encoding", three_digits, True, SHARE),
    "auc_images": MetricFormat("AUC of averaged encodings", three_digits, True, SHARE),
    "auc_steered": MetricFormat("AUC of steered embeddings", three_digits, True, SHARE),
    "r2": MetricFormat("R²", three_digits, True, AT_MOST_1),
    "r2_per_component": MetricFormat("R² per component", three_digits, True, AT_MOST_1),
    "median_angle": MetricFormat("median error", degrees, False, ANGLE),
    "mrr": MetricFormat("MRR", three_digits, True, SHARE),
    "h@1": MetricFormat("H@1", percent, True, SHARE),
    "h@2": MetricFormat("H@2", percent, True, SHARE),
    "h@5": MetricFormat("H@5", percent, True, SHARE),
    "h@10": MetricFormat("H@10", percent, True, SHARE),
    "pre": MetricFormat("PRE", three_digits, False, SHARE),
    "pre_random_view": MetricFormat("PRE of a random view", three_digits, False, ANY),
    "equivariance_error": MetricFormat("equivariance error", three_digits, False, POSITIVE),
    "equimod_absolute": MetricFormat("EquiMod’s absolute measure", three_digits, True, ANY),
    "equimod_relative": MetricFormat("EquiMod’s relative measure", three_digits, True, POSITIVE),
    "composition_error": MetricFormat("error of two steps against one", three_digits, False, POSITIVE),
    "inversion_error": MetricFormat("error of there and back", three_digits, False, POSITIVE),
}
"""Metrics in the order of the tables; ``r2_LATENT`` stands for one latent each and has no line of its own."""

_OF_LATENT = "r2_"


def format_of(metric: str) -> MetricFormat:
    """Returns the format of a metric, such as ``top1``, or ``r2_`` with the name of a latent.

    Raises:
        IebenchError: The metric is unknown.
    """
    if metric in METRICS:
        return METRICS[metric]
    if metric.startswith(_OF_LATENT):
        return MetricFormat(f"R² of {metric.removeprefix(_OF_LATENT)}", three_digits, True, AT_MOST_1)
    raise IebenchError(f"the metric {metric!r} is not known to this iebench; update it, or evaluate again")
