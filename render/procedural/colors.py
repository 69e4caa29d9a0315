"""Colors shared by all classes, so that a color says next to nothing about the class."""

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from numpy.random import Generator

Color = tuple[float, float, float]  # sRGB in [0, 1]
Choice = TypeVar("Choice")

WOODS: tuple[Color, ...] = (
    (0.80, 0.62, 0.40),
    (0.68, 0.45, 0.25),
    (0.52, 0.32, 0.18),
    (0.38, 0.22, 0.13),
    (0.88, 0.76, 0.56),
    (0.60, 0.28, 0.16),
)
METALS: tuple[Color, ...] = (
    (0.78, 0.79, 0.81),
    (0.62, 0.64, 0.67),
    (0.83, 0.68, 0.36),
    (0.72, 0.45, 0.32),
    (0.42, 0.44, 0.48),
)
DARKS: tuple[Color, ...] = ((0.10, 0.10, 0.11), (0.17, 0.18, 0.21), (0.14, 0.12, 0.11), (0.11, 0.14, 0.19))
LIGHTS: tuple[Color, ...] = ((0.94, 0.93, 0.90), (0.90, 0.86, 0.76), (0.88, 0.90, 0.93), (0.83, 0.82, 0.80))
PALETTES: tuple[tuple[Color, Color, Color], ...] = (
    ((0.78, 0.17, 0.15), (0.93, 0.88, 0.76), (0.10, 0.50, 0.52)),
    ((0.14, 0.36, 0.68), (0.86, 0.87, 0.89), (0.93, 0.55, 0.12)),
    ((0.18, 0.47, 0.28), (0.82, 0.68, 0.45), (0.70, 0.12, 0.24)),
    ((0.88, 0.68, 0.16), (0.19, 0.21, 0.26), (0.88, 0.90, 0.92)),
    ((0.90, 0.89, 0.86), (0.15, 0.22, 0.42), (0.82, 0.20, 0.18)),
)
"""Body, second and accent color: far enough apart to be told from each other under colored light."""


@dataclass(frozen=True)
class Scheme:
    """The colors of one object; `body`, `second` and `accent` can be told apart."""

    body: Color
    second: Color
    accent: Color
    dark: Color
    light: Color
    metal: Color
    wood: Color


def pick(rng: Generator, options: Sequence[Choice]) -> Choice:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def chance(rng: Generator, probability: float) -> bool:
    """True with the given probability in [0, 1]."""
    return float(rng.random()) < probability


def paint(rng: Generator) -> Color:
    """Any color: mostly strong, sometimes pale, dark or grey."""
    hue = float(rng.random())
    kind = int(rng.integers(10))
    low, high = ((0.55, 0.9), (0.5, 0.95))
    if kind >= 9:
        low, high = (0.0, 0.08), (0.12, 0.95)
    elif kind >= 7:
        low, high = (0.2, 0.45), (0.75, 0.97)
    elif kind >= 5:
        low, high = (0.5, 0.9), (0.25, 0.5)
    return colorsys.hsv_to_rgb(hue, float(rng.uniform(*low)), float(rng.uniform(*high)))


def scheme(rng: Generator) -> Scheme:
    """Draws the colors of one object: one of a few palettes, each color a little lighter or darker.

    All classes share the palettes, and many objects share each: what tells two objects apart is their shape.
    """
    body, second, accent = (shade(color, float(rng.uniform(0.88, 1.1))) for color in pick(rng, PALETTES))
    dark, light, metal, wood = (pick(rng, colors) for colors in (DARKS, LIGHTS, METALS, WOODS))
    return Scheme(body, second, accent, dark, light, metal, wood)


def shade(color: Color, factor: float) -> Color:
    """The color made darker (below 1) or lighter (above 1)."""
    red, green, blue = (min(1.0, channel * factor) for channel in color)
    return red, green, blue
