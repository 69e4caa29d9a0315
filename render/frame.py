"""One view as it comes from Blender."""

from dataclasses import dataclass

import numpy as np

from shards.passes import PASSES, Pass


@dataclass(frozen=True)
class Frame:
    """One rendered view, and those passes that the settings ask for.

    Mask and depth are of what the centre of a pixel sees. The normal is averaged over the pixel as its color
    is, so at an edge it lies between those of the two surfaces. Surfaces that are less than half opaque are
    looked through.

    Attributes:
        image: Pixels (size, size, 3) uint8, RGB.
        mask: Mask (size, size) bool, true where the object is seen; None where it was not asked for.
        depth: Depth (size, size) float32, metres from the camera's plane along its axis (not along the ray); None
            where it was not asked for.
        normal: Normals (size, size, 3) float32, unit vectors in the camera's axes: x to the right of the image, y up,
            z towards the camera; zeros where there is none; None where it was not asked for.
    """

    image: np.ndarray
    mask: np.ndarray | None = None
    depth: np.ndarray | None = None
    normal: np.ndarray | None = None

    def passes(self) -> dict[Pass, np.ndarray]:
        """The passes that are there, by name, in the order of ``PASSES``."""
        return {name: values for name in PASSES if (values := getattr(self, name)) is not None}
