"""How close renders come to the converged views of the published scene.

Renders the twenty golden latents, first at 256 samples without denoiser (is it the same scene?), then as a
preset writes them to JPEG, next to what the published pipeline wrote::

    python benchmarks/fidelity.py --preset standard
"""

import sys

import click
import numpy as np

from golden import Fidelity, golden_views, object_masks, rendered
from render.settings import PRESETS, PresetName, RenderSettings
from shards.images import decode_jpeg, encode_jpeg

SAME_SCENE = 50.0  # dB that every image reaches at 256 samples without denoiser
NO_WORSE = Fidelity(whole=46.0, object=36.1)  # dB, the means of the published pipeline
WORST = 43.9  # dB, its worst image


@click.command()
@click.option("--preset", default="standard", show_default=True, type=click.Choice(list(PRESETS)))
@click.option("--samples", default=256, show_default=True, help="Of the comparison without denoiser.")
def main(preset: PresetName, samples: int) -> None:
    """Prints a line per view and the means; fails where a bar is missed."""
    masks = object_masks()
    raw = RenderSettings(samples=samples, denoiser="none")
    scene = {view.name: Fidelity.of(image, view.truth, masks[view.name]) for view, image in rendered(raw)}
    written = {
        view.name: Fidelity.of(_stored(image, PRESETS[preset]), view.truth, masks[view.name])
        for view, image in rendered(PRESETS[preset])
    }
    published = {
        view.name: Fidelity.of(view.published, view.truth, masks[view.name]) for view in golden_views()
    }
    columns = {f"{samples} samples": scene, f"{preset}, as JPEG": written, "published, as JPEG": published}
    print("| view | " + " | ".join(f"{name}: whole | object" for name in columns) + " |")
    print("|---" * (1 + 2 * len(columns)) + "|")
    for name in scene:
        print(f"| {name} | " + " | ".join(_cells(column[name]) for column in columns.values()) + " |")
    means = {title: _mean(list(column.values())) for title, column in columns.items()}
    print("| mean | " + " | ".join(_cells(mean) for mean in means.values()) + " |")

    mean, worst = means[f"{preset}, as JPEG"], min(item.whole for item in written.values())
    bars = {
        f"every view at {samples} samples is at least {SAME_SCENE} dB": min(
            item.whole for item in scene.values()
        )
        >= SAME_SCENE,
        f"{preset} as JPEG is no worse than published over the whole image": mean.whole >= NO_WORSE.whole,
        f"its worst view is no worse than published ({worst:.2f} dB)": worst >= WORST,
        f"{preset} as JPEG is no worse than published over the object": mean.object >= NO_WORSE.object,
    }
    for sentence, held in bars.items():
        print(f"- {'yes' if held else 'NO'}: {sentence}")
    sys.exit(not all(bars.values()))


def _stored(image: np.ndarray, settings: RenderSettings) -> np.ndarray:
    """The image as a reader of its JPEG sees it."""
    return decode_jpeg(encode_jpeg(image, settings.jpeg_quality, settings.chroma), "view")


def _mean(values: list[Fidelity]) -> Fidelity:
    return Fidelity(
        float(np.mean([item.whole for item in values])), float(np.mean([item.object for item in values]))
    )


def _cells(value: Fidelity) -> str:
    return f"{value.whole:.2f} | {value.object:.2f}"


if __name__ == "__main__":
    main()
