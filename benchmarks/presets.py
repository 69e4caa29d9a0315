"""What settings cost and what they are worth: error against the converged views, and time.

The table that the presets were chosen from. Each row renders the 32 golden latents on one thread; the error
is that of the JPEG, so that chroma subsampling counts. The rows run one after the other in one process, each with
a scene of its own: Cycles' samples depend on the settings that a session has begun with::

    python benchmarks/presets.py
"""

import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from render.output import redirected
from render.settings import PRESETS, RenderSettings
from render.threads import few_cores
from shards.images import decode_jpeg, encode_jpeg

with few_cores(1):
    from golden import Fidelity, golden_views, object_masks
    from render.blender.scene import Scene

SIX = RenderSettings(samples=6)
ROWS: dict[str, RenderSettings] = {
    **{f"{samples} samples": RenderSettings(samples=samples) for samples in (1, 2, 4, 5, 6, 8, 12, 16)},
    "6, denoiser fast": SIX.model_copy(update={"denoiser": "fast"}),
    "6, denoiser balanced": SIX.model_copy(update={"denoiser": "balanced"}),
    "6, no denoiser": SIX.model_copy(update={"denoiser": "none"}),
    "6, guides not prefiltered": SIX.model_copy(update={"prefilter": "none"}),
    "6, guides prefiltered accurately": SIX.model_copy(update={"prefilter": "accurate"}),
    "6, guided by albedo alone": SIX.model_copy(update={"guides": "albedo"}),
    "6, without guides": SIX.model_copy(update={"guides": "none"}),
    "5, blue noise": RenderSettings(sampling="automatic", samples=5),
    "6, blue noise": SIX.model_copy(update={"sampling": "automatic"}),
    "6, JPEG tables of the standard": SIX.model_copy(update={"jpeg_tables": "standard"}),
    "6, JPEG tables of the standard, 97": SIX.model_copy(
        update={"jpeg_tables": "standard", "jpeg_quality": 97}
    ),
    "6, JPEG 4:2:0": SIX.model_copy(update={"chroma": "4:2:0"}),
    "4 to 32, adaptive 0.1": RenderSettings(samples=32, adaptive_threshold=0.1, min_samples=4),
    "4 to 32, adaptive 0.4": RenderSettings(samples=32, adaptive_threshold=0.4, min_samples=4),
    "8 to 32, adaptive 0.1": RenderSettings(samples=32, adaptive_threshold=0.1, min_samples=8),
    "4, denoiser fast (`draft`)": PRESETS["draft"],
}


def main() -> None:
    """Prints a Markdown table."""
    masks = object_masks()
    with redirected(1, Path(os.devnull)):
        rows = {name: _measured(settings, masks) for name, settings in ROWS.items()}
    unit = float(np.median(rows["6 samples"].seconds))
    print(
        "| settings | whole, dB | worst | object, dB | time (6 samples = 1) | kB |\n|---|---|---|---|---|---|"
    )
    for name, row in rows.items():
        whole = [value.whole for value in row.fidelity]
        objects = np.mean([value.object for value in row.fidelity])
        print(
            f"| {name} | {np.mean(whole):.2f} | {min(whole):.2f} | {objects:.2f} "
            f"| {np.median(row.seconds) / unit:.2f} | {np.mean(row.sizes) / 1000:.1f} |"
        )
    print(f"\n6 samples took {unit:.3f} s an image.")


class _Row(NamedTuple):
    """Fidelity, seconds and JPEG bytes of every view."""

    fidelity: list[Fidelity]
    seconds: list[float]
    sizes: list[int]


def _measured(settings: RenderSettings, masks: dict[str, np.ndarray]) -> _Row:
    row = _Row([], [], [])
    scene, loaded = Scene(settings, threads=1), None
    for golden in golden_views():
        if golden.model != loaded:
            scene.load(golden.model)
            loaded = golden.model
            scene.render(golden.latents)  # the first view of a model builds its acceleration structure
        start = time.perf_counter()
        image = scene.render(golden.latents).image
        row.seconds.append(time.perf_counter() - start)
        jpeg = encode_jpeg(image, settings.jpeg_quality, settings.chroma, tables=settings.jpeg_tables)
        row.sizes.append(len(jpeg))
        row.fidelity.append(
            Fidelity.measure(decode_jpeg(jpeg, golden.name), golden.truth, masks[golden.name])
        )
    scene.close()
    return row


if __name__ == "__main__":
    main()
