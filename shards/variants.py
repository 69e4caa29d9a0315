"""Defines the variants of the benchmark: which latents each has, their ranges, and how they are drawn."""

import hashlib
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

Variant = Literal["3diebench", "translated", "ood", "pictures"]


class Latent(BaseModel):
    """One parameter that a view was rendered with.

    Attributes:
        name: Name of the latent, such as ``rotation_x``.
        unit: ``rad``, ``turn`` (for a hue; 1 is the whole circle) or ``m``.
        intervals: Closed intervals; the latent is drawn uniformly from their union.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    unit: str
    intervals: tuple[tuple[float, float], ...]

    def contains(self, value: float) -> bool:
        """Returns whether ``value`` lies in one of the intervals."""
        return any(low <= value <= high for low, high in self.intervals)

    def from_uniform(self, uniform: float) -> float:
        """Maps a uniform number in [0, 1) to a value that is uniform over the union of the intervals."""
        lengths = [high - low for low, high in self.intervals]
        offset = uniform * sum(lengths)
        for (low, high), length in zip(self.intervals, lengths, strict=True):
            if offset < length:
                return min(low + offset, high)
            offset -= length
        return self.intervals[-1][1]


def _latents(angle_intervals: tuple[tuple[float, float], ...]) -> tuple[Latent, ...]:
    rotations = tuple(
        Latent(name=f"rotation_{axis}", unit="rad", intervals=angle_intervals) for axis in "xyz"
    )
    return (
        *rotations,
        Latent(name="floor_hue", unit="turn", intervals=((0.0, 1.0),)),
        Latent(name="light_theta", unit="rad", intervals=((0.0, math.pi / 4),)),
        Latent(name="light_phi", unit="rad", intervals=((0.0, 2 * math.pi),)),
        Latent(name="light_hue", unit="turn", intervals=((0.0, 1.0),)),
    )


_QUARTER_TURN = math.pi / 2
_STANDARD = _latents(((-_QUARTER_TURN, _QUARTER_TURN),))

VARIANTS: dict[Variant, tuple[Latent, ...]] = {
    "3diebench": _STANDARD,
    "translated": (
        *_STANDARD,
        *(Latent(name=f"translation_{axis}", unit="m", intervals=((-0.5, 0.5),)) for axis in "xyz"),
    ),
    "ood": _latents(((-math.pi, -_QUARTER_TURN), (_QUARTER_TURN, math.pi))),
    "pictures": (),
}
"""Latents of each variant, in the order of the published ``latent_i.npy``; ``pictures`` has none."""


def draw_latents(latents: Sequence[Latent], seed: int, synset: str, object_id: str, view: int) -> np.ndarray:
    """Draws the latents of one view, which depend on nothing but the arguments.

    A counter-based generator (Philox) is keyed by the SHA-256 of seed, synset and object, and each view has its own
    block of the counter. So any process can render any view again by itself and in any order.

    Returns:
        (number of latents,) float64, in the order and ranges of ``latents``.
    """
    digest = hashlib.sha256(f"{seed}/{synset}/{object_id}".encode()).digest()
    key = [int.from_bytes(digest[start : start + 8], "little") for start in (0, 8)]
    generator = np.random.Philox(
        key=np.array(key, dtype=np.uint64), counter=np.array([0, view, 0, 0], dtype=np.uint64)
    )
    uniforms = [(int(raw) >> 11) * 2.0**-53 for raw in generator.random_raw(len(latents))]
    return np.array([latent.from_uniform(uniform) for latent, uniform in zip(latents, uniforms, strict=True)])
