"""Images that cover surfaces: grain, fabrics, labels, prints, a screen, a keyboard.

Each returns (height, width, 3) uint8 sRGB. Row 0 is the top of the image, which is v = 1.
"""

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike
from PIL import Image as Picture
from PIL import ImageDraw

from render.procedural.colors import Color, chance, paint, pick, shade
from render.procedural.meshes import Image


def ink(color: Color) -> tuple[int, int, int]:
    red, green, blue = (round(255 * channel) for channel in color)
    return red, green, blue


def _canvas(width: int, height: int, color: Color) -> tuple[Picture.Image, ImageDraw.ImageDraw]:
    picture = Picture.new("RGB", (width, height), ink(color))
    return picture, ImageDraw.Draw(picture)


def wood_grain(rng: Generator, color: Color, size: int = 128) -> Image:
    """Grain that runs along the image's width; repeats only roughly at its border."""
    x, y = np.meshgrid(np.linspace(0, 1, size), np.linspace(0, 1, size))
    bend = sum(
        rng.uniform(0.006, 0.022) * np.sin(2 * np.pi * (k * x + rng.random())) * np.cos(2 * np.pi * y)
        for k in (1, 2, 3)
    )
    rings = np.sin(2 * np.pi * (rng.integers(4, 9) * (y + bend)))
    fibre = np.repeat(rng.uniform(-1, 1, (size, 1)), size, axis=1)
    light = 1 + 0.16 * rings + 0.06 * fibre
    return np.clip(np.round(255 * np.array(color) * light[..., None]), 0, 255).astype(np.uint8)


def stripes(rng: Generator, first: Color, second: Color, size: int = 128) -> Image:
    """Stripes of several widths across the image's width."""
    count = int(rng.integers(3, 8))
    across = (np.arange(size) * count / size) % 1.0
    wide, narrow = rng.uniform(0.3, 0.6), rng.uniform(0.0, 0.12)
    second_here = (across < wide) | (np.abs(across - (1 + wide) / 2) < narrow)
    row = np.where(second_here[:, None], np.array(ink(second)), np.array(ink(first)))
    return np.repeat(row[None].astype(np.uint8), size, axis=0)


def checks(rng: Generator, first: Color, second: Color, size: int = 128) -> Image:
    """A woven check: where two bands cross, the second color is full."""
    count = int(rng.integers(3, 7))
    band = ((np.arange(size) * count / size) % 1.0 < rng.uniform(0.3, 0.55)).astype(float)
    share = ((band[:, None] + band[None]) / 2)[..., None]
    return np.round(255 * (np.array(first) * (1 - share) + np.array(second) * share)).astype(np.uint8)


def dots(rng: Generator, first: Color, second: Color, size: int = 128) -> Image:
    """Round dots in staggered rows."""
    count = int(rng.integers(3, 6))
    radius = rng.uniform(0.18, 0.32)
    y, x = np.mgrid[0:size, 0:size] * (count / size)
    near = np.minimum(*(np.hypot((x + shift) % 1 - 0.5, (y + shift) % 1 - 0.5) for shift in (0.0, 0.5)))
    inside = (near < radius)[..., None]
    return np.where(inside, np.array(ink(second)), np.array(ink(first))).astype(np.uint8)


def fabric(rng: Generator, first: Color, second: Color) -> Image:
    """One of the woven or printed patterns."""
    return pick(rng, (stripes, checks, dots))(rng, first, second)


def _star() -> tuple[ArrayLike, ArrayLike]:
    turns = np.arange(10) * np.pi / 5
    reach = np.where(np.arange(10) % 2 == 0, 0.5, 0.21)
    return 0.5 + reach * np.sin(turns), 0.52 - reach * np.cos(turns)


def _heart() -> tuple[ArrayLike, ArrayLike]:
    angle = np.linspace(0, 2 * np.pi, 40)
    waves = 13 * np.cos(angle) - 5 * np.cos(2 * angle) - 2 * np.cos(3 * angle) - np.cos(4 * angle)
    return 0.5 + 0.5 * np.sin(angle) ** 3, 0.46 - waves / 32


# Outlines of signs: x in shares of the width from the left, y in shares of the height from the top.
MOTIFS: dict[str, tuple[ArrayLike, ArrayLike]] = {
    "star": _star(),
    "heart": _heart(),
    "arrow": ((0, 0.5, 0.5, 1, 0.5, 0.5, 0), (0.35, 0.35, 0.1, 0.5, 0.9, 0.65, 0.65)),
    "bolt": ((0.6, 0.15, 0.45, 0.35, 0.85, 0.55), (0, 0.58, 0.58, 1, 0.38, 0.38)),
    "letter": (
        (0.1, 0.9, 0.9, 0.38, 0.38, 0.75, 0.75, 0.38, 0.38, 0.1),
        (0, 0, 0.22, 0.22, 0.4, 0.4, 0.6, 0.6, 1, 1),
    ),
    "tree": ((0.5, 0.9, 0.7, 1, 0, 0.3, 0.1), (0, 0.5, 0.5, 0.85, 0.85, 0.5, 0.5)),
}


def motif(draw: ImageDraw.ImageDraw, rng: Generator, box: Sequence[float], color: Color) -> None:
    """Draws one bold sign within a box (left, top, right, bottom): a star, a heart, an arrow, ..."""
    left, top, right, bottom = box
    width, height = right - left, bottom - top

    def within(x: ArrayLike, y: ArrayLike) -> list[tuple[float, float]]:
        return list(zip(left + np.asarray(x) * width, top + np.asarray(y) * height, strict=True))

    kind = pick(rng, tuple(MOTIFS))
    draw.polygon(within(*MOTIFS[kind]), fill=ink(color))
    if kind == "tree":  # its trunk
        draw.rectangle(within((0.42, 0.58), (0.85, 1)), fill=ink(color))


def wrap_print(rng: Generator, ground: Color, *inks: Color, size: int = 192) -> Image:
    """A print for a body of revolution: a sign at the front, another at one side, bands all round.

    The image goes once around; the front is a quarter of the width from the left.
    """
    picture, draw = _canvas(2 * size, size, ground)
    if chance(rng, 0.6):
        for edge in (0.06, 0.86):
            draw.rectangle((0, edge * size, 2 * size, (edge + 0.08) * size), fill=ink(inks[-1]))
    half = rng.uniform(0.24, 0.32) * size
    motif(draw, rng, (size / 2 - half, size / 2 - half, size / 2 + half, size / 2 + half), inks[0])
    if chance(rng, 0.6):
        motif(draw, rng, (1.05 * size, 0.36 * size, 1.33 * size, 0.64 * size), inks[-1])
    return np.array(picture)


def label(rng: Generator, ground: Color, paper: Color, *inks: Color, size: int = 192) -> Image:
    """A wrap-around surface with a paper label at its front, with a sign, a title bar and lines of text."""
    picture, draw = _canvas(2 * size, size, ground)
    half, top, bottom = rng.uniform(0.34, 0.46) * size, 0.06 * size, 0.94 * size
    left, right = size / 2 - half, size / 2 + half
    draw.rectangle((left, top, right, bottom), fill=ink(paper))
    draw.rectangle((left, top, right, top + 0.16 * size), fill=ink(inks[0]))
    side = min(half, 0.3 * size)
    middle = 0.42 * size
    motif(draw, rng, (size / 2 - side, middle - 0.8 * side, size / 2 + side, middle + 0.8 * side), inks[1])
    for line in range(3):
        height = (0.72 + 0.07 * line) * size
        reach = half * rng.uniform(0.45, 0.85)
        draw.rectangle((size / 2 - reach, height, size / 2 + reach, height + 0.03 * size), fill=ink(inks[0]))
    draw.rectangle((1.3 * size, 0.3 * size, 1.6 * size, 0.8 * size), fill=ink(paper))
    return np.array(picture)


def screen(rng: Generator, width: int = 192, height: int = 120) -> Image:
    """A computer screen: a graded ground, one or two windows, a bar of icons."""
    hue = float(rng.random())
    start = np.array(colorsys.hsv_to_rgb(hue, 0.6, 0.85))
    end = np.array(colorsys.hsv_to_rgb((hue + 0.12) % 1, 0.6, 0.4))
    share = (np.mgrid[0:height, 0:width] / np.array([[[height]], [[width]]])).mean(axis=0)[..., None]
    ground = np.round(255 * (start * (1 - share) + end * share)).astype(np.uint8)
    picture = Picture.fromarray(ground)
    draw = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(1, 3))):
        left, top = rng.uniform(0.05, 0.45) * width, rng.uniform(0.08, 0.35) * height
        right, bottom = left + rng.uniform(0.35, 0.5) * width, top + rng.uniform(0.35, 0.5) * height
        draw.rectangle((left, top, right, bottom), fill=(238, 240, 243))
        draw.rectangle((left, top, right, top + 0.07 * height), fill=ink(paint(rng)))
        for line in np.arange(top + 0.14 * height, bottom - 0.06 * height, 0.07 * height):
            reach = left + rng.uniform(0.3, 0.9) * (right - left)
            draw.rectangle((left + 5, line, reach, line + 0.025 * height), fill=(110, 116, 128))
    draw.rectangle((0, 0.92 * height, width, height), fill=(28, 30, 38))
    for icon in range(int(rng.integers(4, 8))):
        x = (0.04 + 0.06 * icon) * width
        draw.rectangle((x, 0.935 * height, x + 0.035 * width, 0.985 * height), fill=ink(paint(rng)))
    return np.array(picture)


def keyboard(rng: Generator, case: Color, keys: Color, width: int = 192, height: int = 120) -> Image:
    """The upper face of a laptop's base: five rows of keys at the back and a touch pad at the front."""
    picture, draw = _canvas(width, height, case)
    count = int(rng.integers(11, 14))
    pitch, row_height = 0.9 * width / count, 0.1 * height
    fill = ink(keys)
    for row in range(5):
        top = (0.06 + 0.115 * row) * height
        for key in range(count):
            left = 0.05 * width + key * pitch
            in_space_bar = row == 4 and 3 <= key <= count - 4
            right = left + (1.0 if in_space_bar else 0.8) * pitch
            draw.rectangle((left, top, right, top + 0.82 * row_height), fill=fill)
    pad = rng.uniform(0.13, 0.2) * width
    middle = width / 2 - rng.uniform(0, 0.1) * width
    draw.rectangle((middle - pad, 0.7 * height, middle + pad, 0.95 * height), fill=ink(shade(case, 0.72)))
    return np.array(picture)


def poster(rng: Generator, ground: Color, *inks: Color, width: int = 96, height: int = 288) -> Image:
    """A bold print for a long board: blocks of color with signs."""
    picture, draw = _canvas(width, height, ground)
    for _ in range(int(rng.integers(2, 5))):
        top, thick = rng.uniform(0, height), rng.uniform(0.04, 0.12) * height
        lean = rng.uniform(-0.5, 0.5) * width
        band = [(0, top), (width, top + lean), (width, top + lean + thick), (0, top + thick)]
        draw.polygon(band, fill=ink(inks[-1]))
    for middle in (0.28, 0.62):
        half = rng.uniform(0.28, 0.4) * width
        y = middle * height
        motif(draw, rng, (width / 2 - half, y - half, width / 2 + half, y + half), inks[0])
    return np.array(picture)


def fuselage(rng: Generator, ground: Color, line: Color, belly: Color, rows: int = 256) -> Image:
    """Around an aeroplane: a belly, a line along each side and windows. The width goes around, nose at v = 1.

    Up is at three quarters of the width, down at one quarter.
    """
    columns = 128
    picture, draw = _canvas(columns, rows, ground)
    draw.rectangle((0.12 * columns, 0, 0.38 * columns, rows), fill=ink(belly))
    for side in (0.0, 0.5, 1.0):
        draw.rectangle(((side - 0.03) * columns, 0, (side + 0.03) * columns, rows), fill=ink(line))
    glass = (24, 28, 38)
    for y in np.arange(0.24, 0.84, rng.uniform(0.028, 0.045)) * rows:
        for side in (0.58, 0.92):
            draw.rectangle(
                ((side - 0.02) * columns, y, (side + 0.02) * columns, y + 0.014 * rows), fill=glass
            )
    return np.array(picture)


def panels(rng: Generator, ground: Color, other: Color, count: int = 6) -> Image:
    """Upright panels around a cap or a shade: the front half and the back half differ."""
    columns = 32 * count
    image = np.empty((64, columns, 3), dtype=np.uint8)
    front = {int(count * 0.25 + step) % count for step in (-1, 0)}
    for panel in range(count):
        image[:, 32 * panel : 32 * (panel + 1)] = ink(other if panel in front else ground)
        image[:, 32 * panel] = ink(shade(ground, 0.6))
    return image
