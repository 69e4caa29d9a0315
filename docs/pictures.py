"""Makes the README's pictures from a demo: the contact sheet, and objects that turn with the views that are retrieved.

    python docs/pictures.py runs/demo              # writes docs/contact-sheet.jpg and docs/turning.webp

In the animation an object turns from left to right and back, as Blender renders it. The network never sees that: it
sees one other view, the one of 150 that is nearest to upright, its predictor is told by how much that is to be turned,
and what stands on the right are those of the other 149 whose embeddings lie nearest to the result. The head says how
far their poses are from what was asked for, and how far those that are found without turning, and random ones. Shown
are the first validation objects of three classes, evenly spaced.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from iebench.backbones.encoder import Encoder
from iebench.cli import main as iebench
from iebench.cli.pages import render_latents
from iebench.methods.parts.transformations import LATENTS, quaternion_from_euler, relative_transformation
from iebench.report.page import LARGE
from iebench.report.sample import Sample, angles_between, read_sample, represent, spread
from iebench.training.run import Run
from iebench.training.run_encoder import encoder_of_run
from shards.errors import IebenchError, UsageError
from shards.lists import Name
from shards.reader import View, read_views
from shards.schema import DatasetIndex, open_dataset
from shards.variants import draw_latents

DOCS = Path(__file__).parent
OBJECTS = 3
GALLERY = 150
"""Views of each object: one is turned, and among the others is looked."""
POSES = 24
"""Of the turn, which is shown forth and back."""
FRAME_MS = 90
FOUND = 3
LARGEST_TURN = np.pi / 2
GAP, MARGIN, CAPTION = 10, 28, 22
INK, QUIET, PAPER = "#1d1f23", "#5d6168", "#fdfdfb"


@dataclass(frozen=True)
class Turning:
    """One object that turns, and what is retrieved.

    Attributes:
        name: Name of the object.
        source: The view that the predictor starts from.
        turned: The object in each pose.
        gallery: Views among which is looked.
        found: (poses, found) rows of the gallery, nearest first.
        angles: (poses, found) degrees between the pose that was asked for and that of the view.
        unturned: Mean of these degrees if the embedding is not turned.
        chance: The same over all views of the gallery.
    """

    name: str
    source: np.ndarray
    turned: list[np.ndarray]
    gallery: list[np.ndarray]
    found: Tensor
    angles: Tensor
    unturned: float
    chance: float


def main() -> None:
    """Writes both pictures."""
    parser = argparse.ArgumentParser(description="Make the pictures of the README from a demo.")
    parser.add_argument("demo", type=Path, help="folder of `iebench demo`")
    parser.add_argument(
        "--run", default="run", help="folder in it of the run whose predictor is shown (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=DOCS, help="folder of the pictures (%(default)s)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sheet = ["show", str(options.demo / "views"), "--out", str(options.out / "contact-sheet.jpg")]
    iebench(sheet, standalone_mode=False)
    animation = options.out / "turning.webp"
    animate(options.demo, Run(options.demo / options.run), animation)
    print(f"{animation}: {animation.stat().st_size / 1e6:.2f} MB")


def animate(demo: Path, run: Run, out: Path) -> None:
    """Renders what is shown, looks it up and writes the animation.

    Args:
        demo: Folder of the demo; gets the folder ``turning`` with what is rendered.
        run: A run whose method has a predictor.
        out: The WebP file.

    Raises:
        UsageError: The run has no predictor that is told rotations, or its dataset has no seed.
        IebenchError: An object could not be rendered.
    """
    data = demo / "views"
    index = open_dataset(data)
    encoder = encoder_of_run(run, run.last_checkpoint, index)
    if encoder.predictor is None or "rotation" not in encoder.predictor.groups:
        raise UsageError(f"{run.folder} has no predictor that is told rotations")
    latents = {name: shown_latents(index, name) for name in shown_objects(read_sample(data, index, 1000))}
    render_latents(demo / "models", demo / "turning", latents, index.variant)
    views: dict[Name, list[View]] = {name: [] for name in latents}
    for view in read_views(demo / "turning", open_dataset(demo / "turning"), "train"):
        views[view.metadata.synset, view.metadata.object].append(view)
    turnings = [look_up(encoder, index, found) for found in views.values()]
    frames = [frame(turnings, number) for number in (*range(POSES), *range(POSES - 2, 0, -1))]
    frames[0].save(
        out, save_all=True, append_images=frames[1:], duration=FRAME_MS, loop=0, quality=80, method=4
    )


def shown_objects(sample: Sample) -> list[Name]:
    """The first object of some classes, evenly spaced."""
    labels = sample.labels.tolist()
    return [
        sample.names[owner]
        for owner in spread([labels.index(label) for label in dict.fromkeys(labels)], OBJECTS)
    ]


def shown_latents(index: DatasetIndex, name: Name) -> np.ndarray:
    """(gallery + poses, number of latents): the first views, and the turn under the light of the one to be turned."""
    if index.seed is None:
        raise UsageError("the dataset has no seed, so further views of its objects cannot be drawn")
    drawn = np.array([draw_latents(index.latents, index.seed, *name, view) for view in range(GALLERY)])
    turn = np.repeat(drawn[upright(index, torch.from_numpy(drawn))][None], POSES, axis=0)
    turn[:, index.latent_index(LATENTS["rotation"])] = 0
    turn[:, index.latent_index(("rotation_z",))[0]] = np.linspace(-LARGEST_TURN, LARGEST_TURN, POSES)
    return np.concatenate((drawn, turn))


def upright(index: DatasetIndex, latents: Tensor) -> int:
    """The row of (views, number of latents) whose pose is nearest to no rotation."""
    poses = quaternion_from_euler(latents[:, index.latent_index(LATENTS["rotation"])])
    return int(poses[:, 3].abs().argmax())


@torch.inference_mode()
def look_up(encoder: Encoder, index: DatasetIndex, views: Sequence[View]) -> Turning:
    """Retrieves the nearest of the gallery for each pose.

    Args:
        encoder: An encoder with a predictor.
        index: Index of the dataset that it was trained on.
        views: The gallery with the view that is turned, and the poses.
    """
    predictor = encoder.predictor
    assert predictor is not None
    sample = Sample(index, list(views), len(views))
    latents, poses, pixels = sample.latents[0], sample.poses, [view.pixels() for view in views]
    source = upright(index, latents[:GALLERY])
    others = [row for row in range(GALLERY) if row != source]
    asked, names = latents[GALLERY:], [latent.name for latent in index.latents]
    told = relative_transformation(latents[source].expand_as(asked), asked, predictor.groups, names).float()
    embeddings = predictor.embed(represent(encoder, sample.images()[:GALLERY]))
    still = embeddings[source].expand(len(asked), -1)
    found = nearest(predictor.predict(still, told), embeddings[others])
    angles = angles_between(poses[GALLERY:, None], poses[others][None])  # (poses, others)
    unturned = angles.gather(1, nearest(still, embeddings[others])).mean().item()
    return Turning(
        views[0].metadata.object,
        pixels[source],
        pixels[GALLERY:],
        [pixels[row] for row in others],
        found,
        angles.gather(1, found),
        unturned,
        angles.mean().item(),
    )


def nearest(queries: Tensor, gallery: Tensor) -> Tensor:
    """(queries, found) rows of the gallery by falling cosine."""
    unit = torch.nn.functional.normalize
    return (unit(queries, dim=1) @ unit(gallery, dim=1).T).topk(FOUND, dim=1).indices


def frame(turnings: Sequence[Turning], number: int) -> Image.Image:
    """One picture of the animation."""
    columns = 2 + FOUND
    width = columns * (LARGE + GAP) + 3 * GAP
    height = MARGIN + len(turnings) * (LARGE + CAPTION + GAP)
    picture = Image.new("RGB", (width, height), PAPER)
    pen = ImageDraw.Draw(picture)
    left = [
        GAP + column * (LARGE + GAP) + (GAP if column else 0) + (GAP if column > 1 else 0)
        for column in range(columns)
    ]
    means = ([item.angles.mean().item() for item in turnings], [item.unturned for item in turnings])
    mean, unturned, chance = (np.mean(values) for values in (*means, [item.chance for item in turnings]))
    found = f"found: {mean:.0f}° off on average, without turning {unturned:.0f}°, at random {chance:.0f}°"
    for column, text in enumerate(("the network sees", "asked for", found)):
        pen.text((left[column], 6), text, INK, font(13))
    for row, turning in enumerate(turnings):
        top = MARGIN + row * (LARGE + CAPTION + GAP)
        shown = [turning.source, turning.turned[number]]
        shown += [turning.gallery[view] for view in turning.found[number].tolist()]
        angles = [f"{angle:.0f}° off" for angle in turning.angles[number].tolist()]
        for x, pixels, text in zip(left, shown, [turning.name, "", *angles], strict=True):
            picture.paste(Image.fromarray(pixels), (x, top))
            pen.text((x, top + LARGE + 3), text, QUIET, font(12))
    return picture


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)


if __name__ == "__main__":
    try:
        main()
    except IebenchError as error:
        sys.exit(str(error))
