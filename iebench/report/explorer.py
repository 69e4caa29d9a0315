"""Writes a self-contained page on which a person explores the representations of runs and steers their predictors."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image
from torch import Tensor

from iebench import __version__
from iebench.backbones.encoder import EmbeddingPredictor
from iebench.methods.parts.transformations import DIMENSIONS, LATENTS
from iebench.report.sample import Sample, nearest_of_others, read_sample, represent
from iebench.report.subjects import distinct_titles, method_title
from iebench.training.run import Run
from iebench.training.run_encoder import encoder_of_run
from shards.errors import UsageError
from shards.files import write_text
from shards.schema import open_dataset

TILE = 64
"""Height and width of a view on the page, in pixels."""
SHEET_COLUMNS = 16
EMBEDDING_RANK = 64
"""Number of directions of an embedding that the page holds."""


@dataclass(frozen=True)
class Steering:
    """A predictor whose prediction is linear in the embedding and affine in the quaternion that it is told.

    The prediction of an embedding e, told q, is ``(maps[0] + q_x maps[1] + ... + q_w maps[4]) e``.

    Attributes:
        maps: Matrices (5, rank, rank) of the constant and of the quaternion's four numbers.
        embeddings: Embeddings (views, rank) of the views, in the basis of the maps.
        kept: Share of the embeddings' squared length that lies in the basis.
    """

    maps: np.ndarray
    embeddings: np.ndarray
    kept: float


def write_explorer(folders: Sequence[Path], out: Path, views: int = 1000, data: Path | None = None) -> None:
    """Writes the page about trained runs, which makes no requests.

    It shows at most ``views`` validation views of the dataset, which is by default that of the first run.

    Raises:
        UsageError: A folder is no run, or the dataset has no validation views.
        IebenchError: A checkpoint or a shard cannot be read.
    """
    runs = {folder.resolve(): Run(folder) for folder in folders}
    if not runs:
        raise UsageError("an explorer needs at least one run")
    folder = data or next(iter(runs.values())).data()
    sample = read_sample(folder, open_dataset(folder), views)
    titles = distinct_titles(list(runs))
    images = sample.images()
    content = {
        **described_views(sample),
        "sheets": sheets(images.permute(0, 2, 3, 1).numpy()),
        "runs": [
            described_run(title, run, sample, images)
            for title, run in zip(titles, runs.values(), strict=True)
        ],
    }
    environment = Environment(
        loader=PackageLoader("iebench.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    # "</script>" in a name would end the script, so "<" is written as JSON allows it
    text = json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    page = environment.get_template("explorer.html.j2").render(content=text, version=__version__)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)


def described_views(sample: Sample) -> dict[str, Any]:
    """Collects what the page shows of the views: object, class, number, pose, hues."""
    hues = sample.latents[..., sample.index.latent_index(LATENTS["color"])].flatten(0, 1)
    labels = sample.labels[sample.owners].tolist()
    used = sorted(set(labels))
    return {
        "classes": [sample.class_name(label) for label in used],
        "objects": [name for _, name in sample.names],
        "labels": [used.index(label) for label in labels],
        "owners": sample.owners.tolist(),
        "numbers": [view.metadata.view for view in sample.views],
        "poses": pack_as_int16(sample.poses.numpy()),
        "hues": pack_as_int16(hues.numpy()),
    }


@torch.inference_mode()
def described_run(title: str, run: Run, sample: Sample, images: Tensor) -> dict[str, Any]:
    """Collects what the page shows of a run: maps and neighbors by part, and the predictor."""
    encoder = encoder_of_run(run, run.last_checkpoint, sample.index)
    predictor = encoder.predictor
    representations = represent(encoder, images)
    shown = None
    if predictor is not None and (steering := steering_of(predictor, representations)):
        shown = {
            "maps": pack_as_int16(steering.maps),
            "embeddings": pack_as_int16(steering.embeddings),
            "kept": round(steering.kept, 4),
            "told": list(predictor.groups),
        }
    parts = {}
    for name, (start, stop) in encoder.parts.items():
        columns = representations[:, start:stop]
        parts[name] = {
            "map": pack_as_int16(principal_components(columns, 2).numpy()),
            "nearest": nearest_of_others(columns, sample.owners).tolist(),
        }
    return {
        "title": title,
        "method": method_title(run.recipe().method.name),
        "parts": parts,
        "predictor": shown,
        "without": why_not_steered(predictor),
    }


def why_not_steered(predictor: EmbeddingPredictor | None) -> str:
    """Says why the page cannot steer embeddings by a predictor for which ``steering_of`` returns None."""
    if predictor is None:
        return "has no predictor: it was trained to ignore what turns one view into another"
    if "rotation" not in predictor.groups:
        return "has a predictor that is not told rotations"
    return "has a predictor that is not linear in the embedding, which this page cannot compute"


def steering_of(predictor: EmbeddingPredictor, representations: Tensor) -> Steering | None:
    """Measures a CPU predictor by its answers to representations (views, dimension), in the basis of their embeddings.

    Returns:
        None if the predictor is not told rotations, or its prediction is not of the form of ``Steering``.
    """
    if "rotation" not in predictor.groups:
        return None
    embeddings = predictor.embed(representations)
    _, _, directions = torch.linalg.svd(embeddings.double(), full_matrices=False)
    basis = directions[:EMBEDDING_RANK].T.float()  # (dimension, rank)
    before = sum(DIMENSIONS[group] for group in predictor.groups[: predictor.groups.index("rotation")])
    width = sum(DIMENSIONS[group] for group in predictor.groups)

    def predict(vectors: Tensor, quaternions: Tensor) -> Tensor:
        transformation = vectors.new_zeros(len(vectors), width)
        transformation[:, before : before + 4] = quaternions
        return predictor.predict(vectors, transformation)

    rank = basis.shape[1]
    corners = torch.cat((torch.zeros(1, 4), torch.eye(4)))
    answers = [predict(basis.T, corner.expand(rank, 4)) for corner in corners]  # rows: of each direction
    maps = torch.stack([answers[0].T, *((answer - answers[0]).T for answer in answers[1:])])
    inside = embeddings @ basis
    generator = torch.Generator().manual_seed(0)
    tried = torch.nn.functional.normalize(torch.randn(len(inside), 4, generator=generator), dim=1)
    exact = predict(inside @ basis.T, tried)
    weights = torch.cat((torch.ones(len(inside), 1), tried), dim=1)
    computed = torch.einsum("kdr,nr,nk->nd", maps, inside, weights)
    if not torch.allclose(computed, exact, rtol=1e-3, atol=1e-3 * exact.abs().max().item()):
        return None
    kept = (inside.pow(2).sum() / embeddings.pow(2).sum().clamp(min=1e-12)).item()
    projected = torch.einsum("dr,kds->krs", basis, maps)
    return Steering(projected.numpy(), inside.numpy(), kept)


def principal_components(vectors: Tensor, count: int) -> Tensor:
    """Computes the first principal components of vectors (rows, dimension), scaled to [-1, 1].

    Returns:
        (rows, count); a component that does not vary is 0.
    """
    centered = vectors.double() - vectors.double().mean(dim=0)
    _, _, directions = torch.linalg.svd(centered, full_matrices=False)
    found = centered @ directions[:count].T
    found = torch.nn.functional.pad(found, (0, count - found.shape[1]))
    return found / found.abs().amax(dim=0).clamp(min=1e-12)


def sheets(pixels: np.ndarray) -> list[str]:
    """Puts images (views, height, width, 3) uint8 into square WebP sheets of ``SHEET_COLUMNS`` columns, as ``data:`` URIs."""
    found = []
    for start in range(0, len(pixels), SHEET_COLUMNS**2):
        views = pixels[start : start + SHEET_COLUMNS**2]
        rows = -(-len(views) // SHEET_COLUMNS)
        sheet = Image.new("RGB", (SHEET_COLUMNS * TILE, rows * TILE))
        for number, view in enumerate(views):
            row, column = divmod(number, SHEET_COLUMNS)
            tile = Image.fromarray(view).resize((TILE, TILE), Image.Resampling.BOX)
            sheet.paste(tile, (column * TILE, row * TILE))
        file = io.BytesIO()
        sheet.save(file, "WEBP", quality=82, method=6)
        found.append("data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii"))
    return found


def pack_as_int16(array: np.ndarray) -> dict[str, Any]:
    """Encodes finite numbers as 16-bit integers with one scale, little-endian in base64.

    Returns:
        ``shape``, ``scale`` and ``data``; each number is its integer times the scale.
    """
    scale = float(np.abs(array).max(initial=0)) / np.iinfo(np.int16).max or 1.0
    integers = np.round(array / scale).astype("<i2")
    return {
        "shape": list(array.shape),
        "scale": scale,
        "data": base64.b64encode(integers.tobytes()).decode("ascii"),
    }
