"""Computes the channel mean and standard deviation of many views from exact sums."""

import numpy as np
from pydantic import BaseModel, ConfigDict

Channels = tuple[float, float, float]
_LEVELS = np.arange(256)


class PixelSums(BaseModel):
    """Exact integer sums over decoded views. Their total does not depend on the order in which they are added.

    Attributes:
        pixels: Number of pixels.
        sums: Sum of the values of each channel.
        squares: Sum of the squared values of each channel.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    pixels: int = 0
    sums: tuple[int, int, int] = (0, 0, 0)
    squares: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def from_image(cls, image: np.ndarray) -> "PixelSums":
        """Computes the sums of one (height, width, 3) uint8 image."""
        flat = image.reshape(-1, 3)
        red, green, blue = (np.bincount(flat[:, channel], minlength=256) for channel in range(3))
        return cls(
            pixels=len(flat),
            sums=(int(red @ _LEVELS), int(green @ _LEVELS), int(blue @ _LEVELS)),
            squares=(int(red @ _LEVELS**2), int(green @ _LEVELS**2), int(blue @ _LEVELS**2)),
        )

    def __add__(self, other: "PixelSums") -> "PixelSums":
        return PixelSums(
            pixels=self.pixels + other.pixels,
            sums=_added(self.sums, other.sums),
            squares=_added(self.squares, other.squares),
        )

    def mean_and_std(self) -> tuple[Channels, Channels]:
        """Returns the mean and standard deviation of each channel, for values in [0, 1], rounded to six digits.

        The standard deviation is at least one grey level, 1/255, so that it can be divided by.
        """
        pixels = max(self.pixels, 1)
        mean = np.array(self.sums) / pixels
        variance = np.maximum(np.array(self.squares) / pixels - mean**2, 1.0)
        return _channels(mean / 255), _channels(np.sqrt(variance) / 255)


def _added(first: tuple[int, int, int], second: tuple[int, int, int]) -> tuple[int, int, int]:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2]


def _channels(values: np.ndarray) -> Channels:
    red, green, blue = np.round(values, 6).tolist()
    return red, green, blue
