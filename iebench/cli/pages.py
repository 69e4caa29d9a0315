"""Writes the report for the command line: with larger pictures, rendered anew, and with an explorer beside it."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from iebench.cli.rendering import render_with_bar
from iebench.report.explorer import write_explorer
from iebench.report.page import LARGE, write_report
from iebench.training.run import Run
from shards.errors import IebenchError, UsageError
from shards.lists import Name

if TYPE_CHECKING:
    from iebench.report.sample import Sample
    from shards.variants import Variant


def write_pages(
    runs: Sequence[Path],
    out: Path,
    models: Path | None = None,
    explores: bool = False,
    workers: int | None = None,
) -> list[Path]:
    """Writes the report, and on request an explorer of the runs that were trained here beside it; returns their paths.

    Of the dataset's models, if they are given, larger pictures are rendered, by default by a process per core.

    Raises:
        UsageError: A run has not been evaluated, no run was trained here, or the models lack an object.
        IebenchError: A file cannot be read, or an object cannot be rendered.
    """
    enlarge = partial(_render_again, models, out, workers) if models else None
    explorer = out.with_name(f"{out.stem}-explorer.html")
    write_report(runs, out, enlarge, explorer.name if explores else "")
    if not explores:
        return [out]
    write_explorer([folder for folder in runs if Run(folder).config_path.is_file()], explorer)
    return [out, explorer]


def _render_again(
    models: Path, beside: Path, workers: int | None, sample: "Sample", owners: Sequence[int]
) -> Path:
    """Renders all views of some objects with their latents, into a folder beside the page that a hash of them names."""
    if not sample.has_poses:
        raise UsageError("the dataset was not rendered from models; leave --models out")
    latents = {sample.names[owner]: sample.latents[owner].numpy() for owner in owners}
    out = beside.with_name(f"{beside.stem}-views-{_sha256_of(latents)[:8]}")
    render_latents(models, out, latents, sample.index.variant, workers)
    return out


def _sha256_of(latents: Mapping[Name, np.ndarray]) -> str:
    rows = [(name, values.tolist()) for name, values in sorted(latents.items())]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def render_latents(
    models: Path,
    out: Path,
    latents: Mapping[Name, np.ndarray],
    variant: "Variant",
    workers: int | None = None,
) -> None:
    """Renders objects at ``LARGE`` pixels with given latents (views, number of latents), as far as that is not done yet.

    The new dataset has only the split ``train``.

    Raises:
        UsageError: The models lack one of the objects, the folder holds other views, or there is no Blender.
        IebenchError: An object could not be rendered.
    """
    from render.catalog import scan_models, select_objects
    from render.executor import Execution
    from render.latents import ExplicitLatents
    from render.plan import PlanSettings, make_plan
    from render.settings import PRESETS

    explicit = ExplicitLatents(latents, _sha256_of(latents))
    pixels = PRESETS["draft"].model_copy(update={"image_size": LARGE})
    settings = PlanSettings(variant=variant, objects_per_shard=16, render=pixels)
    # the channel statistics of a dataset are of training views, and this one is never trained on
    objects = [replace(item, split="train") for item in select_objects(scan_models(models), latents)]
    plan = make_plan(objects, settings, explicit)
    summary = render_with_bar(plan, out, Execution(workers, device="cpu"))
    if summary.failures:
        failed = summary.failures[0]
        raise IebenchError(f"{failed.synset}/{failed.object} could not be rendered: {failed.reason}")
