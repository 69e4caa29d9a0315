"""Makes augmented views of pictures as they are read from shards."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

from iebench.augmentations.config import AugmentationConfig
from iebench.augmentations.parameters import (
    PARAMETERS,
    draw_parameters,
    original_parameters,
    uniform_numbers,
)
from shards.images import fitted
from shards.reader import View

_JITTERS = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)


@dataclass(frozen=True)
class Augmentation:
    """Makes the views of one draw out of one stored view.

    Attributes:
        config: Settings of the augmentations.
        seed: Seed that decides all parameters, together with the epoch, the object and the view.
        views: Numbers of the views to make; 0 is the original.
        size: Height and width of a view in pixels.
    """

    config: AugmentationConfig
    seed: int
    views: tuple[int, ...]
    size: int
    names = PARAMETERS

    def parameters(self, synset: str, object_id: str, epoch: int, height: int, width: int) -> np.ndarray:
        """Returns the parameters (views, 18) float64 of each view of an object's draw.

        ``epoch`` counts the earlier draws of the object; height and width are those of the stored picture in pixels.
        """
        rows = []
        for view in self.views:
            if view:
                numbers = uniform_numbers(self.seed, synset, object_id, epoch, view)
                rows.append(draw_parameters(self.config, view, height, width, numbers))
            else:
                rows.append(original_parameters(height, width))
        return np.stack(rows)

    def make(self, view: View, epoch: int, out: np.ndarray) -> np.ndarray:
        """Makes the views of a draw in ``out`` (views, size, size, 3) uint8, and returns their parameters."""
        picture = view.picture()
        height, width = picture.shape[:2]
        found = self.parameters(view.metadata.synset, view.metadata.object, epoch, height, width)
        pixels = torch.from_numpy(picture).permute(2, 0, 1)
        for number, row, image in zip(self.views, found, out, strict=True):
            if number:
                augmented = augment(pixels, row, self.size, self.config.solarize_threshold)
                image[...] = augmented.permute(1, 2, 0).numpy()
            else:
                fit = view.metadata.fit
                shorter = fit.shorter if fit is not None else self.size
                is_whole = fit is None and (height, width) == (self.size, self.size)
                image[...] = picture if is_whole else fitted(picture, shorter, self.size)
        return found


def augment(picture: Tensor, parameters: np.ndarray, size: int, threshold: int = 128) -> Tensor:
    """Makes one augmented view (3, size, size) of a picture (3, height, width) uint8 with torchvision's functions.

    The parameters (18,) are in the order of ``PARAMETERS``; solarization inverts from the level ``threshold`` on.
    """
    values = dict(zip(PARAMETERS, parameters.tolist(), strict=True))
    top, left, height, width = (int(values[f"crop_{name}"]) for name in ("top", "left", "height", "width"))
    view = F.resized_crop(
        picture, top, left, height, width, [size, size], InterpolationMode.BICUBIC, antialias=True
    )
    if values["flip"]:
        view = F.horizontal_flip(view)
    if values["jitter"]:
        factors = [values[name] for name in ("brightness", "contrast", "saturation", "hue")]
        for name in ("first", "second", "third", "fourth"):
            number = int(values[f"jitter_{name}"])
            view = _JITTERS[number](view, factors[number])
    if values["grayscale"]:
        view = F.rgb_to_grayscale(view, num_output_channels=3)
    if values["blur"]:
        kernel = blur_kernel(size)
        view = F.gaussian_blur(view, [kernel, kernel], [values["blur_sigma"]] * 2)
    if values["solarize"]:
        view = F.solarize(view, threshold)
    return view


def blur_kernel(size: int) -> int:
    """Returns the odd width of the blur's kernel in pixels: a tenth of the view, 23 at 224 px as in SimCLR and BYOL."""
    return 2 * round(size / 20) + 1
