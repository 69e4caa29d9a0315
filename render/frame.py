"""What one view looks like when it leaves Blender."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Frame:
    """One rendered view.

    Attributes:
        image: (size, size, 3) uint8, RGB.
    """

    image: np.ndarray
