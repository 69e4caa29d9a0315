"""Views of one model with given latents, in this process."""

import os
from pathlib import Path

import numpy as np

from render.blender.scene import Scene
from render.frame import Frame
from render.output import redirected
from render.settings import PRESETS, RenderSettings
from shards.errors import UsageError
from shards.variants import VARIANTS

_LATENTS = sorted({len(latents) for latents in VARIANTS.values() if latents})


def render_views(
    model: Path, latents: np.ndarray, settings: RenderSettings = PRESETS["standard"], threads: int = 0
) -> list[Frame]:
    """Renders views of one model in this process, whose Blender file is replaced by the scene.

    Args:
        model: Model file that ``Scene.load`` takes.
        latents: Latents (views, 7) float: rotation x, y, z (rad, extrinsic xyz), floor hue [0, 1], light theta and phi
            (rad), light hue [0, 1]; or (views, 10), with translation x, y, z in metres.
        settings: Settings of the renders; ``passes`` say what a frame holds besides the image.
        threads: Number of threads that Cycles may use; 0 means all cores.

    Returns:
        One frame per row of ``latents``.

    Raises:
        UsageError: ``latents`` has another shape, or numbers that are not finite.
        ModelError: The model cannot be read or rendered.
    """
    values = _checked(latents)
    with redirected(1, Path(os.devnull)):  # Blender reports every step there
        scene = Scene(settings, threads)
        try:
            scene.load(model)
            return [scene.render(row) for row in values]
        finally:
            scene.close()


def _checked(latents: np.ndarray) -> np.ndarray:
    try:
        values = np.asarray(latents, dtype=np.float64)
    except (TypeError, ValueError):
        raise UsageError("latents are an array of numbers, one row for each view") from None
    if values.ndim != 2 or values.shape[1] not in _LATENTS:
        counts = " or ".join(map(str, _LATENTS))
        raise UsageError(f"latents have the shape (views, {counts}), not {values.shape}")
    if not np.isfinite(values).all():
        raise UsageError("latents hold numbers that are not finite")
    return values
