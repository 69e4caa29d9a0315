"""Reads published results on 3DIEBench and its variants from ``published.toml``."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

RSquared = Literal["pooled", "per_component", "unknown"]
Variant = Literal["3diebench", "translated", "ood"]

OBJECTS = {"train": 41_920, "val": 10_552}
VIEWS_PER_OBJECT = 50
CLASSES = 55


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


class _RowContent(_Section):
    source: str
    method: str
    variant: Variant = "3diebench"
    told: list[str] = []
    r2: RSquared | None = None
    note: str = ""
    scores: dict[str, float] = Field(min_length=1)


class _Content(_Section):
    sources: dict[str, Source]
    rows: list[_RowContent]


@dataclass(frozen=True)
class PublishedRow:
    """One method's published scores.

    Attributes:
        method: Name that the method's authors use.
        variant: Variant of the dataset on which it was evaluated.
        told: Groups of transformations that the predictor or head is told; empty for an invariant method.
        r2: Definition of R² of the scores.
        scores: Shares in [0, 1] by name: ``top1``, ``rotation_r2``, ``pose_r2`` (of a single view), ``color_r2``,
            ``translation_*_r2``, ``mrr``, ``h@1``, ``h@5``.
        source: Source of the row.
        note: Remark on the row.
    """

    method: str
    variant: Variant
    told: tuple[str, ...]
    r2: RSquared
    scores: Mapping[str, float]
    source: Source
    note: str


@cache
def published_rows() -> tuple[PublishedRow, ...]:
    """Reads all published rows, in the order of the file."""
    text = resources.files("iebench.report").joinpath("published.toml").read_text(encoding="utf-8")
    content = _Content.model_validate(tomllib.loads(text))
    rows = []
    for row in content.rows:
        source = content.sources[row.source]
        rows.append(
            PublishedRow(
                row.method, row.variant, tuple(row.told), row.r2 or source.r2, row.scores, source, row.note
            )
        )
    return tuple(rows)
