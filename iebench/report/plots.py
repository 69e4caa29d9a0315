"""Draws the training curves as inline SVG, with colors from the page's style sheet."""

import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

POINTS = 400
"""Largest number of points of a curve; more are averaged in bins."""

LOGGED_NAMES = {
    "online_representation_top1": "online top-1",
    "online_representation_rotation_r2": "online rotation R²",
    "online_embedding_top1": "online top-1, embedding",
    "online_embedding_rotation_r2": "online rotation R², embedding",
    "representation_std": "standard deviation",
    "representation_correlation": "correlation",
    "embedding_std": "standard deviation, embedding",
    "embedding_correlation": "correlation, embedding",
    "val_knn_top1": "top-1, k-NN",
    "val_online_top1": "top-1, online head",
    "val_online_rotation_r2": "rotation R², online head",
    "learning_rate": "learning rate",
    "gradient_norm": "norm of the gradient",
    "images_per_second": "images/s",
    "data_wait": "share of time waiting for data",
    "peak_memory_gib": "peak memory, GiB",
}
"""Words for what every training logs beside the terms of its method's loss."""

HELD_OUT = "val_"
"""Beginning of the names of scores on validation objects."""

_NOT_TERMS = ("step", "epoch", "loss")
_COLORS = 6
_DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (1.5, 1.5), (6, 2, 1.5, 2))
INK, GRID = "#010101", "#020202"
SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "iebench",
    "font.size": 9,
    "axes.formatter.useoffset": False,
}


@dataclass(frozen=True)
class LineStyle:
    """The style of one run's lines in every panel: a color of the style sheet, and a dash pattern in points."""

    color: int
    dashes: tuple[float, ...]

    @property
    def variable(self) -> str:
        """Name of the CSS variable of the color."""
        return f"--series-{self.color}"

    @property
    def placeholder(self) -> str:
        """Color that stands for the CSS variable until the SVG is written."""
        return f"#03030{self.color}"


@dataclass(frozen=True)
class Panel:
    """One quantity over the epochs, all runs overlaid.

    Attributes:
        key: Name of the quantity in ``metrics.jsonl``.
        description: Description of the curves in words, for those who cannot see them.
        svg: Markup to put into a page as it is.
    """

    key: str
    title: str
    description: str
    svg: str

    @property
    def is_held_out(self) -> bool:
        """Whether it is a score on validation objects."""
        return self.key.startswith(HELD_OUT)


def line_style(number: int) -> LineStyle:
    """Chooses the style of run ``number``, from 0; neighbors differ in color and dashes, and 24 runs in one of them."""
    period = math.lcm(_COLORS, len(_DASHES))
    return LineStyle(1 + number % _COLORS, _DASHES[(number + number // period) % len(_DASHES)])


def training_panels(
    curves: Sequence[tuple[str, Sequence[dict[str, Any]]]], term_names: Mapping[str, str]
) -> list[Panel]:
    """Draws the loss and each of its terms over the epochs.

    Args:
        curves: Title of each run, and the records of its ``metrics.jsonl``.
        term_names: Words for the terms of the runs' losses; a term without one keeps its own name.

    Returns:
        Scores on held-out objects first, then the loss, then the terms in the order in which they are first met.
    """
    found = {key: None for _, records in curves for record in records for key in record}
    held_out = {key: None for key in found if key.startswith(HELD_OUT)}
    keys = held_out | {"loss": None} | found
    names = {**LOGGED_NAMES, **term_names}
    panels: list[Panel] = []
    for key in keys:
        lines = [(title, *_points(records, key)) for title, records in curves]
        if (key == "loss" or key not in _NOT_TERMS) and any(epochs.size for _, epochs, _ in lines):
            svg = _draw(f"panel{len(panels)}", [(epochs, values) for _, epochs, values in lines])
            panels.append(Panel(key, names.get(key, key), _describe(lines), svg))
    return panels


def _points(records: Sequence[dict[str, Any]], key: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns epochs and values of one quantity, at most ``POINTS`` of them."""
    pairs = [
        (record["epoch"], record[key])
        for record in records
        if isinstance(record.get(key), int | float) and math.isfinite(record[key])
    ]
    columns = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    if len(columns) > POINTS:
        columns = np.array([part.mean(axis=0) for part in np.array_split(columns, POINTS)])
    return columns[:, 0], columns[:, 1]


def _describe(lines: Sequence[tuple[str, np.ndarray, np.ndarray]]) -> str:
    return "; ".join(
        f"{title}: from {values[0]:.4g} at epoch {epochs[0]:.3g} to {values[-1]:.4g} at epoch {epochs[-1]:.4g}"
        for title, epochs, values in lines
        if epochs.size
    )


def _draw(name: str, lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> str:
    with matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(3.9, 2.3), layout="constrained", facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        for number, (epochs, values) in enumerate(lines):
            style = line_style(number)
            axes.plot(
                epochs,
                values,
                color=style.placeholder,
                linestyle=(0, style.dashes) if style.dashes else "solid",
                linewidth=1.5,
                marker="o" if epochs.size < 5 else "",
                markersize=3.5,
            )
        axes.set_xlabel("epoch", color=INK)
        axes.tick_params(colors=INK, length=0)
        axes.grid(axis="y", color=GRID, linewidth=0.7)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5))
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.spines["bottom"].set_color(GRID)
        return svg_for_page(figure, name, map(line_style, range(len(lines))))


def svg_for_page(figure: Figure, name: str, styles: Iterable[LineStyle]) -> str:
    """Writes a figure as one ``svg`` element, without size, font or style sheet, and fits ids and colors to the page."""
    stream = io.StringIO()
    no_metadata = {"Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(stream, format="svg", metadata=no_metadata)
    document = stream.getvalue()
    svg = document[document.index("<svg") :]
    svg = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg \1 aria-hidden="true">', svg, count=1)
    svg = re.sub(r"<style.*?</style>|font-family: [^;]*; ", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    svg = svg.replace(INK, "var(--quiet)").replace(GRID, "var(--rule)")
    for style in set(styles):
        svg = svg.replace(style.placeholder, f"var({style.variable})")
    return svg
