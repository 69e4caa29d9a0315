"""Plans a dataset: its settings, its jobs and the shards that they go to."""

import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from render.catalog import ObjectRef, select_objects
from render.latents import ExplicitLatents, Intervals, with_ranges
from render.settings import RenderSettings
from shards.schema import DatasetIndex
from shards.shard_plan import ShardPlan, fingerprint, plan_shards
from shards.variants import VARIANTS, Latent, Variant, draw_latents

RenderShard = ShardPlan[ObjectRef]

PIXELS_VERSION = 2
"""Counts changes of what a view shows: 2 since doubled faces are rendered as one, with the normals of the file."""


class PlanSettings(BaseModel):
    """All that decides a dataset's bytes, besides the model files themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Variant = "3diebench"
    seed: int = 0
    ranges: dict[str, Intervals] = Field(
        default={}, description="intervals of the latents that differ from the variant's"
    )
    latents_sha256: str = Field(
        default="", description="SHA-256 of explicit latents; empty if latents are drawn"
    )
    views: int = Field(default=50, ge=1, description="views per object")
    objects_per_shard: int = Field(default=100, ge=1)
    render: RenderSettings = RenderSettings()
    blender: str = ""
    pixels_version: int = Field(
        default=1, description="version of the rendered pixels; 1 if none is recorded"
    )
    catalogue_sha256: str = ""
    devices: tuple[str, ...] = Field(
        default=(), description="kinds of devices that rendered it; empty until it is complete"
    )

    @property
    def latents(self) -> tuple[Latent, ...]:
        """The latents of a view, each with its range; raises a ``UsageError`` if ``ranges`` names another."""
        return with_ranges(VARIANTS[self.variant], self.ranges)


@dataclass(frozen=True)
class Job:
    """One object, all its views.

    Attributes:
        explicit: Latents (views, latents) if the user gave them, else None.
        kept: Whether the views are staged; a check throws them away.
    """

    item: ObjectRef
    settings: PlanSettings
    staging: Path
    explicit: np.ndarray | None = None
    kept: bool = True

    def latents(self, view: int) -> np.ndarray:
        """The latents of one view, (number of latents,) float64."""
        if self.explicit is not None:
            return self.explicit[view]
        return draw_latents(self.settings.latents, self.settings.seed, *self.item.name, view)


@dataclass(frozen=True)
class Plan:
    """The whole of a dataset to be rendered."""

    settings: PlanSettings
    objects: tuple[ObjectRef, ...]
    shards: tuple[RenderShard, ...]
    explicit: ExplicitLatents | None = None

    def job(self, item: ObjectRef, staging: Path) -> Job:
        """The job that renders one of the objects into a staging folder."""
        explicit = self.explicit.values[item.name] if self.explicit else None
        return Job(item, self.settings, staging, explicit)


def make_plan(
    objects: Sequence[ObjectRef], settings: PlanSettings, explicit: ExplicitLatents | None = None
) -> Plan:
    """Puts the objects of each split, in catalog order, into shards of ``objects_per_shard``.

    Where latents are explicit, the catalog is limited to the objects that they name, and number of views and ranges
    are theirs.

    Raises:
        UsageError: Explicit latents name an object that the catalog does not have, or a range is of a latent
            that the variant does not have.
    """
    latents = settings.latents  # refuses a range of a latent that there is not, before anything is begun
    update: dict[str, object] = {"pixels_version": PIXELS_VERSION}
    if explicit is not None:
        objects = select_objects(objects, explicit.values)
        ranges = explicit.ranges(latents)
        update |= {"views": explicit.views, "ranges": ranges, "latents_sha256": explicit.sha256}
    update["blender"] = importlib.metadata.version("bpy") if importlib.util.find_spec("bpy") else "none"
    update["catalogue_sha256"] = fingerprint(objects)
    shards = plan_shards(objects, settings.objects_per_shard)
    return Plan(settings.model_copy(update=update), tuple(objects), shards, explicit)


def must_be_rendered_again(index: DatasetIndex) -> bool:
    """Returns whether ShapeNet's classes were rendered when doubled faces still gave black triangles."""
    ours = {"render", "views"} <= index.renderer.keys()
    shapenet = any(re.fullmatch(r"\d{8}", item.synset) for item in index.classes)
    return ours and shapenet and index.renderer.get("pixels_version", 1) < PIXELS_VERSION
