"""How close renders come to the converged views of the published scene.

Renders the 32 golden latents, first at 256 samples without denoiser (is it the same scene?), then as a preset
writes them to JPEG, next to what the published pipeline wrote; models with every face twice are told apart from
those without::

    python benchmarks/fidelity.py --preset standard
"""

import sys
from collections.abc import Callable, Iterable

import click
import numpy as np

from golden import Fidelity, GoldenView, golden_views, object_masks, rendered
from render.settings import PRESETS, PresetName, RenderSettings
from shards.images import decode_jpeg, encode_jpeg

SAME_SCENE = 50.0  # dB that every image reaches at 256 samples without denoiser


@click.command()
@click.option("--preset", default="standard", show_default=True, type=click.Choice(list(PRESETS)))
@click.option(
    "--samples", default=256, show_default=True, help="Of the comparison without denoiser; 0: none."
)
def main(preset: PresetName, samples: int) -> None:
    """Prints a line per view, the means and the worst; fails where a bar is missed."""
    views, masks, settings = golden_views(), object_masks(), PRESETS[preset]
    stored = ((view, _stored(image, settings)) for view, image in rendered(settings))
    columns = {
        f"{preset}, as JPEG": _compared(stored, masks),
        "published, as JPEG": _compared(((view, view.published) for view in views), masks),
    }
    if samples:
        raw = RenderSettings(samples=samples, denoiser="none", sampling="automatic")
        columns[f"{samples} samples"] = _compared(rendered(raw), masks)
    bars: dict[str, bool] = {}
    print("| view | " + " | ".join(f"{name}: whole | object" for name in columns) + " |")
    print("|---" * (1 + 2 * len(columns)) + "|")
    for group in ("clean", "doubled"):
        names = [view.name for view in views if view.group == group]
        for name in names:
            print(f"| {name} | " + " | ".join(_cells(column[name]) for column in columns.values()) + " |")
        found = {title: [column[name] for name in names] for title, column in columns.items()}
        for title, summary in (("mean", np.mean), ("worst", np.min)):
            values = [_summary(column, summary) for column in found.values()]
            print(f"| **{group}: {title}** | " + " | ".join(map(_cells, values)) + " |")
            ours, published = values[:2]
            for field in ("whole", "object"):
                sentence = f"{group}: the {title} of {preset} over the {field} is no worse than published"
                bars[sentence] = getattr(ours, field) >= getattr(published, field)
        if samples:
            sentence = f"{group}: every view at {samples} samples is at least {SAME_SCENE} dB"
            bars[sentence] = all(item.whole >= SAME_SCENE for item in found[f"{samples} samples"])
    for sentence, held in bars.items():
        print(f"- {'yes' if held else 'NO'}: {sentence}")
    sys.exit(not all(bars.values()))


def _compared(
    images: Iterable[tuple[GoldenView, np.ndarray]], masks: dict[str, np.ndarray]
) -> dict[str, Fidelity]:
    return {view.name: Fidelity.measure(image, view.truth, masks[view.name]) for view, image in images}


def _stored(image: np.ndarray, settings: RenderSettings) -> np.ndarray:
    """The image as a reader of its JPEG sees it."""
    jpeg = encode_jpeg(image, settings.jpeg_quality, settings.chroma, tables=settings.jpeg_tables)
    return decode_jpeg(jpeg, "view")


def _summary(values: list[Fidelity], of: Callable[[list[float]], float]) -> Fidelity:
    return Fidelity(*(float(of([getattr(item, field) for item in values])) for field in ("whole", "object")))


def _cells(value: Fidelity) -> str:
    return f"{value.whole:.2f} | {value.object:.2f}"


if __name__ == "__main__":
    main()
