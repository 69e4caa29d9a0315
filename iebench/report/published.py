"""Reads published results on 3DIEBench and its variants from ``published.toml``."""

import tomllib
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RSquared = Literal["pooled", "per_component", "unknown"]
Variant = Literal["3diebench", "translated", "ood"]

OBJECTS = {"train": 41_920, "val": 10_552}
VIEWS_PER_OBJECT = 50
CLASSES = 55
SETTINGS = ("backbone", "image_size", "epochs", "batch_size")
"""Settings of training by which evaluated runs are compared with a source."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Source(_Section):
    """The source of published rows, with the settings that they share; None stands for what is not stated."""

    title: str
    note: str
    r2: RSquared
    backbone: str | None = None
    image_size: int | None = None
    epochs: int | None = None
    batch_size: int | None = None


class PublishedRow(_Section):
    """One method's published scores.

    Attributes:
        method: Name that the method's authors use.
        variant: Variant of the dataset on which it was evaluated.
        told: Groups of transformations that the predictor or head is told; empty for an invariant method.
        scores: Shares in [0, 1] by name: ``top1``, ``rotation_r2``, ``pose_r2`` (of a single view), ``color_r2``,
            ``translation_*_r2``, ``mrr``, ``h@1``, ``h@5``.
    """

    method: str
    variant: Variant = "3diebench"
    told: tuple[str, ...] = Field(default=(), strict=False)
    r2: RSquared
    scores: dict[str, float] = Field(min_length=1)
    source: Source
    note: str = ""


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """Reads all published rows, in the order of the file; a row has its source's definition of R² unless it has its own."""
    content = tomllib.loads(
        resources.files("iebench.report").joinpath("published.toml").read_text(encoding="utf-8")
    )
    sources = {name: Source(**source) for name, source in content["sources"].items()}
    rows = [
        {"r2": sources[row["source"]].r2, **row, "source": sources[row["source"]]} for row in content["rows"]
    ]
    return tuple(PublishedRow(**row) for row in rows)
