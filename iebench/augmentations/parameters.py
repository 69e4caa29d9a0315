"""The parameters of augmentations: names, units, and how they are drawn.

======================  ================================================================  ================
name                    value                                                             if not applied
======================  ================================================================  ================
crop_top, crop_left     corner of the crop, in pixels of the stored picture               0
crop_height, _width     size of the crop, in pixels of the stored picture                 the whole
flip                    1 if flipped                                                      0
jitter                  1 if colors are jittered                                          0
jitter_first, ...       the operation that is done first, second, third, fourth:          0, 1, 2, 3
                        0 brightness, 1 contrast, 2 saturation, 3 hue
brightness, contrast,   factors                                                           1
saturation
hue                     shift in turns                                                    0
grayscale               1 if gray                                                         0
blur, blur_sigma        1 if blurred; standard deviation in pixels of the view            0, 0
solarize                1 if solarized                                                    0
======================  ================================================================  ================

This is the vector of EquiMod (arXiv 2211.01244), in its order; its first 15 numbers are those without blur and
solarization.
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np

from iebench.augmentations.config import AugmentationConfig

PARAMETERS = (
    *("crop_top", "crop_left", "crop_height", "crop_width", "flip", "jitter"),
    *("jitter_first", "jitter_second", "jitter_third", "jitter_fourth"),
    *("brightness", "contrast", "saturation", "hue"),
    *("grayscale", "blur", "blur_sigma", "solarize"),
)
"""Names of the parameters, in order."""

_TRIES = 10
_UNIFORMS = 4 * _TRIES + 16


def original_parameters(height: int, width: int) -> np.ndarray:
    """Returns the parameters (18,) float64 of a picture of a size in pixels without augmentations."""
    return np.array([0, 0, height, width, 0, 0, 0, 1, 2, 3, 1, 1, 1, 0, 0, 0, 0, 0], dtype=np.float64)


def uniform_numbers(seed: int, synset: str, object_id: str, epoch: int, view: int) -> Iterator[float]:
    """Yields numbers in [0, 1) that depend on the arguments alone, like latents (``shards.variants.draw_latents``)."""
    digest = hashlib.sha256(f"augment/{seed}/{synset}/{object_id}".encode()).digest()
    key = np.frombuffer(digest[:16], dtype="<u8").astype(np.uint64)
    generator = np.random.Philox(key=key, counter=np.array([0, view, epoch, 0], dtype=np.uint64))
    return iter(((generator.random_raw(_UNIFORMS) >> np.uint64(11)) * 2.0**-53).tolist())


def draw_parameters(
    config: AugmentationConfig, view: int, height: int, width: int, uniforms: Iterator[float]
) -> np.ndarray:
    """Draws the parameters (18,) float64 of one augmented view of a picture, from random numbers in [0, 1).

    The crop is drawn as by torchvision's ``RandomResizedCrop``: ten tries of an area and a ratio, and then the
    largest crop in the middle whose ratio is allowed. View 1 is the first augmented one; sizes are in pixels.
    """
    found = original_parameters(height, width)
    found[:4] = _crop(config, height, width, list(islice(uniforms, 4 * _TRIES)))
    flip, jitter, gray, blur, solarize, sigma, *rest = islice(uniforms, 14)
    found[4] = flip < config.flip
    if jitter < config.jitter:
        found[5] = 1
        found[6:10] = np.argsort(rest[:4])
        strengths = (config.brightness, config.contrast, config.saturation)
        found[10:13] = [
            max(0.0, 1 - strength) + number * (1 + strength - max(0.0, 1 - strength))
            for strength, number in zip(strengths, rest[4:7], strict=True)
        ]
        found[13] = (2 * rest[7] - 1) * config.hue
    found[14] = gray < config.grayscale
    if blur < _of_view(config.blur, view):
        low, high = config.blur_sigma
        found[15:17] = 1, low + sigma * (high - low)
    found[17] = solarize < _of_view(config.solarize, view)
    return found


def _of_view(chances: Sequence[float], view: int) -> float:
    return chances[min(view, len(chances)) - 1]


def _crop(
    config: AugmentationConfig, height: int, width: int, uniforms: Sequence[float]
) -> tuple[int, int, int, int]:
    """Draws top, left, height and width of a crop."""
    (least, most), (narrow, wide) = config.crop_scale, config.crop_ratio
    low, high = math.log(narrow), math.log(wide)
    for number in range(_TRIES):
        share, ratio, top, left = uniforms[4 * number : 4 * number + 4]
        area = height * width * (least + share * (most - least))
        aspect = math.exp(low + ratio * (high - low))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            first_row, first_column = top * (height - crop_height + 1), left * (width - crop_width + 1)
            return int(first_row), int(first_column), crop_height, crop_width
    crop_height, crop_width = height, width
    if width / height < narrow:
        crop_height = max(1, round(width / narrow))
    elif width / height > wide:
        crop_width = max(1, round(height * wide))
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width
