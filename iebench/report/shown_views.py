"""Prepares views for the report, each with its latents in words."""

import base64
import colorsys
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from iebench.methods.parts.transformations import LATENTS, Group, relative_rotation
from shards.errors import UsageError
from shards.images import encode_jpeg
from shards.reader import View, read_views
from shards.schema import DatasetIndex, open_dataset

ViewName = tuple[str, str, int]
"""Synset, object, view."""

_SAME_LATENT = 1e-9


@dataclass(frozen=True)
class ShownView:
    """One view as the page shows it.

    Attributes:
        uri: Stored JPEG as a ``data:`` URI, unchanged unless its channels are stored as blue, green, red.
        number: Number of the view.
        rotation: Angles x, y and z in whole degrees; empty without latents.
        floor: CSS color of the floor; empty without latents.
        light: CSS color of the spot; empty without latents.
        spot: Position of the spot over the floor as the camera sees it: right and down, each in [-1, 1].
        alternative: Description of the view in words, for those who cannot see it.
    """

    uri: str
    number: int
    rotation: tuple[str, ...]
    floor: str
    light: str
    spot: tuple[float, float]
    alternative: str


def larger_views(folder: Path, wanted: Sequence[View]) -> dict[ViewName, View]:
    """Reads the wanted views from a dataset of the same objects that was rendered larger; those that it lacks are left out.

    Raises:
        UsageError: A view of the same name has other latents there.
        IebenchError: A shard cannot be read.
    """
    index = open_dataset(folder)
    latents = {name_of(view): view.metadata.latents for view in wanted}
    found = {}
    for split in (name for name, info in index.splits.items() if info.views):
        for view in read_views(folder, index, split):
            name = name_of(view)
            if name in latents:
                if not np.allclose(view.metadata.latents, latents[name], rtol=0, atol=_SAME_LATENT):
                    raise UsageError(
                        f"view {name[2]} of {name[0]}/{name[1]} has other latents in {folder} than in the dataset that "
                        "was evaluated; remove that folder"
                    )
                found[name] = view
    return found


def name_of(view: View) -> ViewName:
    """Returns synset, object and number of a view."""
    return view.metadata.synset, view.metadata.object, view.metadata.view


def picture(view: View, index: DatasetIndex, class_name: str) -> ShownView:
    """Describes a view with its latents for the page; a view without latents, such as a photograph, has only its class."""
    values = {latent.name: value for latent, value in zip(index.latents, view.metadata.latents, strict=True)}
    jpeg = view.jpeg if view.channel_order == "rgb" else encode_jpeg(view.pixels())
    uri = "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")
    number = view.metadata.view
    if not values:
        return ShownView(uri, number, (), "", "", (0.0, 0.0), class_name)
    farthest = max(
        high for latent in index.latents if latent.name == "light_theta" for _, high in latent.intervals
    )
    distance = values["light_theta"] / farthest
    return ShownView(
        uri,
        number,
        rotation=tuple(str(round(math.degrees(values[name]))) for name in LATENTS["rotation"]),
        floor=_css_color(values["floor_hue"], 0.6, 0.6),
        light=_css_color(values["light_hue"], 1.0, 0.8),
        # the camera stands at +y and looks along -y with -x to its right
        spot=(-distance * math.cos(values["light_phi"]), distance * math.sin(values["light_phi"])),
        alternative=f"{class_name}, view {number}: {_latents_in_words(values)}",
    )


def _latents_in_words(values: Mapping[str, float]) -> str:
    angles = ", ".join(f"{math.degrees(values[name]):.0f}" for name in LATENTS["rotation"])
    theta, phi = math.degrees(values["light_theta"]), math.degrees(values["light_phi"])
    words = [
        f"rotated by {angles} degrees about x, y, z",
        f"floor hue {360 * values['floor_hue']:.0f}°, light hue {360 * values['light_hue']:.0f}°",
        f"light {theta:.0f}° from the vertical at azimuth {phi:.0f}°",
    ]
    if "translation_x" in values:
        words.append("moved by " + ", ".join(f"{values[f'translation_{axis}']:.2f}" for axis in "xyz"))
    return "; ".join(words)


def rotation_in_words(first: View, second: View, index: DatasetIndex) -> tuple[str, str]:
    """Describes the rotation from one view to another, as the predictor is told it.

    Returns:
        The angle, and the axis in the object's own coordinates; no axis if the angle is 0.
    """
    before, after = (
        torch.tensor([_latents(view, index, "rotation")], dtype=torch.float64) for view in (first, second)
    )
    *vector, real = relative_rotation(before, after)[0].tolist()
    length = math.hypot(*vector)
    angle = f"{math.degrees(2 * math.atan2(length, abs(real))):.0f}°"
    if length < 1e-6:
        return angle, ""
    axis = ", ".join(f"{math.copysign(1, real) * value / length:z.2f}" for value in vector)
    return angle, f"({axis})"


def changes_in_words(first: View, second: View, index: DatasetIndex, groups: Sequence[str]) -> str:
    """Describes the changes besides rotation from one view to another, as far as a predictor is told them."""
    others: tuple[Group, ...] = ("color", "light", "translation")
    return "; ".join(
        _change_in_words(group, _latents(first, index, group), _latents(second, index, group))
        for group in others
        if group in groups
    )


def _latents(view: View, index: DatasetIndex, group: Group) -> list[float]:
    return [view.metadata.latents[column] for column in index.latent_index(LATENTS[group])]


def _change_in_words(group: Group, before: Sequence[float], after: Sequence[float]) -> str:
    if group == "light":
        old, new = (f"{math.degrees(theta):.0f}°/{math.degrees(phi):.0f}°" for theta, phi in (before, after))
        return f"light from {old} to {new} (from the vertical/azimuth)"
    differences = [later - earlier for earlier, later in zip(before, after, strict=True)]
    if group == "color":
        floor, light = differences
        return f"floor hue {360 * floor:+.0f}°, light hue {360 * light:+.0f}°"
    return "moved by " + ", ".join(f"{difference:+.2f}" for difference in differences)


def _css_color(hue: float, saturation: float, value: float) -> str:
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, saturation, value))
    return f"#{red:02x}{green:02x}{blue:02x}"
