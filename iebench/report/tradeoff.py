"""Plots classification against rotation, for contenders and published rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from iebench.evaluation.differences import SeedSummary
from iebench.report.leaderboard import Standing
from iebench.report.plots import GRID, INK, SETTINGS, LineStyle, svg_for_page

PANELS = (
    ("rotation_r2", "Rotation R², pooled as published"),
    ("rotation_r2_per_component", "Rotation R² per component"),
)
LINE = 0.19
"""Height of a name in inches."""

_MARKERS = {"s": "□", "^": "△", "D": "◇", "v": "▽", "P": "✚", "X": "✖"}
"""Markers of published points, and the characters that stand for them in the legend."""


@dataclass(frozen=True)
class TradeoffPanel:
    """A plot of one definition of R² against top-1, with a description for those who cannot see it.

    Attributes:
        svg: Markup to put into a page as it is.
        sources: Marker and source of the published points, in words.
    """

    title: str
    description: str
    svg: str
    sources: tuple[str, ...]


def tradeoff_panels(
    standings: Sequence[Standing], styles: Mapping[str, LineStyle], name: str = "tradeoff"
) -> list[TradeoffPanel]:
    """Draws the plots that have a point of a contender, whose style is found by its title.

    Their ids on the page begin with ``name``.
    """
    panels = []
    for key, title in PANELS:
        points = [item for item in standings if {"top1", key} <= set(item.values)]
        if any(item.is_ours for item in points):
            sources = dict.fromkeys(item.source for item in points if not item.is_ours)
            markers = dict(zip(sources, cycle(_MARKERS), strict=False))
            svg = _draw(points, key, markers, styles, f"{name}-{key}")
            legend = tuple(f"{_MARKERS[marker]} {source}" for source, marker in markers.items())
            panels.append(TradeoffPanel(title, _describe(points, key), svg, legend))
    return panels


def _draw(
    points: Sequence[Standing],
    key: str,
    markers: Mapping[str, str],
    styles: Mapping[str, LineStyle],
    name: str,
) -> str:
    with matplotlib.rc_context(SETTINGS):
        height = max(4.4, LINE * (len(points) + 2))
        figure = Figure(figsize=(6.0, height), layout="constrained", facecolor="none")
        axes = figure.subplots()
        axes.set_facecolor("none")
        chance = [_chance(points, score) for score in ("top1", key)]
        for level, line in zip(chance, (axes.axvline, axes.axhline), strict=True):
            if level is not None:
                line(level, color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        for point in points:
            x, y = point.values["top1"], point.values[key]
            if point.is_ours:
                color = styles[point.title].placeholder
                axes.errorbar(
                    x.mean, y.mean, xerr=_reach(x), yerr=_reach(y), fmt="o", color=color, markersize=6.5
                )
            else:
                marker = markers[point.source]
                axes.plot(x.mean, y.mean, marker, color=INK, markersize=5, fillstyle="none")
        _limit(axes, points, key, chance)
        _label(axes, points, key, styles)
        axes.set_xlabel("linear top-1", color=INK)
        axes.set_ylabel("rotation R²", color=INK)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.tick_params(colors=INK, length=0)
        axes.grid(color=GRID, linewidth=0.7)
        in_corner: dict[str, Any] = {"transform": axes.transAxes, "color": INK, "fontstyle": "italic"}
        axes.text(0.01, 0.99, "equivariant", ha="left", va="top", **in_corner)
        axes.text(0.99, 0.01, "invariant", ha="right", va="bottom", **in_corner)
        for spine in axes.spines.values():
            spine.set_color(GRID)
        return svg_for_page(figure, name, styles.values())


def _limit(axes: Axes, points: Sequence[Standing], key: str, chance: Sequence[float | None]) -> None:
    """Fits the axes to points and chance levels; a long interval may leave them."""
    for score, level, dimension in zip(("top1", key), chance, "xy", strict=True):
        shown = [point.values[score].mean for point in points] + ([] if level is None else [level])
        margin = 0.08 * (max(shown) - min(shown) or 1.0)
        axes.set(**{f"{dimension}lim": (min(shown) - margin, max(shown) + margin)})


def _label(axes: Axes, points: Sequence[Standing], key: str, styles: Mapping[str, LineStyle]) -> None:
    """Writes names in a column at the right, in the order of their points, each with a line to its point."""
    low, high = axes.get_ylim()
    ordered = sorted(points, key=lambda point: point.values[key].mean)
    wanted = [(point.values[key].mean - low) / (high - low) for point in ordered]
    for point, height in zip(ordered, spread_out(wanted, 1 / max(22, len(points))), strict=True):
        color = styles[point.title].placeholder if point.is_ours else INK
        told = f" ({', '.join(point.told)})" if "color" in point.told else ""
        axes.annotate(
            point.title + told,
            (point.values["top1"].mean, point.values[key].mean),
            xytext=(1.04, height),
            textcoords="axes fraction",
            fontsize=8,
            va="center",
            color=color,
            parse_math=False,
            arrowprops={"arrowstyle": "-", "color": GRID, "linewidth": 0.6, "shrinkB": 4},
        )


def spread_out(wanted: Sequence[float], gap: float) -> list[float]:
    """Moves ascending positions at least ``gap`` apart, near the wanted ones and in [0, 1] if there is room.

    Positions that are too near to each other become a block around their mean: 0.50, 0.51 with a gap of 0.04
    become 0.485, 0.525.
    """
    blocks: list[list[float]] = []
    for position in wanted:
        blocks.append([position])
        while len(blocks) > 1 and _start(blocks[-1], gap) < _start(blocks[-2], gap) + len(blocks[-2]) * gap:
            last = blocks.pop()
            blocks[-1] += last
    return [_start(block, gap) + number * gap for block in blocks for number in range(len(block))]


def _start(block: Sequence[float], gap: float) -> float:
    """Computes the start of a block, which is around the mean of its positions and inside [0, 1]."""
    length = (len(block) - 1) * gap
    return max(0.0, min(1.0 - length, sum(block) / len(block) - length / 2))


def _reach(value: SeedSummary) -> list[list[float]] | None:
    if value.low is None or value.high is None:
        return None
    return [[max(0.0, value.mean - value.low)], [max(0.0, value.high - value.mean)]]


def _chance(points: Sequence[Standing], key: str) -> float | None:
    levels = (point.values[key].chance for point in points if point.is_ours)
    return next((level for level in levels if level is not None), None)


def _describe(points: Sequence[Standing], key: str) -> str:
    return "; ".join(
        f"{point.title}: top-1 {point.values['top1'].mean:.1%}, R² {point.values[key].mean:.3f}"
        for point in points
    )
