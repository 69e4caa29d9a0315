"""What is to be rendered: the settings of a dataset, its jobs and the shards they go to."""

import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from render.catalog import ObjectRef, fingerprint, select_objects
from render.latents import ExplicitLatents, Intervals, with_ranges
from render.settings import RenderSettings
from shards.errors import UsageError
from shards.schema import VARIANTS, Latent, Variant, draw_latents


class PlanSettings(BaseModel):
    """All that decides a dataset's bytes, besides the model files themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Variant = "3diebench"
    seed: int = 0
    ranges: dict[str, Intervals] = Field(default={}, description="of latents, where not the variant's")
    latents_sha256: str = Field(default="", description="of explicit latents; empty where they are drawn")
    views: int = Field(default=50, ge=1, description="views per object")
    objects_per_shard: int = Field(default=100, ge=1)
    render: RenderSettings = RenderSettings()
    blender: str = ""
    catalogue_sha256: str = ""

    @property
    def latents(self) -> tuple[Latent, ...]:
        """The latents of a view, each with its range.

        Raises:
            UsageError: ``ranges`` names a latent that the variant does not have.
        """
        return with_ranges(VARIANTS[self.variant], self.ranges)


@dataclass(frozen=True)
class Job:
    """One object, all its views.

    Attributes:
        explicit: (views, latents) where the user gave the latents, else None.
    """

    item: ObjectRef
    settings: PlanSettings
    staging: Path
    explicit: np.ndarray | None = None

    def latents(self, view: int) -> np.ndarray:
        """The latents of one view, (number of latents,) float64."""
        if self.explicit is not None:
            return self.explicit[view]
        settings, item = self.settings, self.item
        return draw_latents(settings.latents, settings.seed, item.synset, item.object_id, view)


@dataclass(frozen=True)
class ShardPlan:
    """A shard and the objects that belong in it, in order."""

    name: str
    split: str
    objects: tuple[ObjectRef, ...]


@dataclass(frozen=True)
class Plan:
    """The whole of a dataset to be rendered."""

    settings: PlanSettings
    objects: tuple[ObjectRef, ...]
    shards: tuple[ShardPlan, ...]
    explicit: ExplicitLatents | None = None

    def job(self, item: ObjectRef, staging: Path) -> Job:
        """The job that renders one of the objects into a staging folder."""
        explicit = self.explicit.values[item.synset, item.object_id] if self.explicit else None
        return Job(item, self.settings, staging, explicit)


def make_plan(
    objects: Sequence[ObjectRef], settings: PlanSettings, explicit: ExplicitLatents | None = None
) -> Plan:
    """Puts the objects of each split, in catalogue order, into shards of ``objects_per_shard``.

    Args:
        objects: the catalogue.
        settings: of the dataset.
        explicit: the latents of every view, where they are not drawn; the catalogue is limited to the objects
            that they name, and number of views and ranges are theirs.

    Raises:
        UsageError: explicit latents name an object that the catalogue does not have, or a range is of a latent
            that the variant does not have.
    """
    latents = (
        settings.latents
    )  # which refuses a range of a latent that there is not, before anything is begun
    if explicit is not None:
        objects = select_objects(objects, explicit.values)
        ranges = explicit.ranges(latents)
        settings = settings.model_copy(
            update={"views": explicit.views, "ranges": ranges, "latents_sha256": explicit.sha256}
        )
    blender = importlib.metadata.version("bpy") if importlib.util.find_spec("bpy") else "none"
    settings = settings.model_copy(update={"catalogue_sha256": fingerprint(objects), "blender": blender})
    shards = []
    for split in ("train", "val"):
        members = [item for item in objects if item.split == split]
        size = settings.objects_per_shard
        for number, start in enumerate(range(0, len(members), size)):
            shards.append(ShardPlan(f"{split}-{number:06d}.tar", split, tuple(members[start : start + size])))
    return Plan(settings, tuple(objects), tuple(shards), explicit)


def require_same_settings(recorded: str | dict, settings: PlanSettings, folder: Path) -> None:
    """Makes sure that a folder begun with ``recorded`` settings may be continued with these.

    Args:
        recorded: the settings found in the folder, as JSON or parsed.
        settings: those asked for.
        folder: named in the error.

    Raises:
        UsageError: they differ; the message names the first difference.
    """
    try:
        content = json.loads(recorded) if isinstance(recorded, str) else recorded
        there = PlanSettings.model_validate(content)
    except ValueError:  # pydantic's and json's errors are both of it
        raise UsageError(
            f"{folder} was begun by an iebench with other settings; choose another folder"
        ) from None
    for name, old, new in _differences(there.model_dump(), settings.model_dump()):
        if name == "catalogue_sha256":
            raise UsageError(
                f"{folder} holds a dataset of other models (objects were added, removed or limited since); "
                "choose another folder or delete this one"
            )
        raise UsageError(
            f"{folder} holds a dataset rendered with {name} {json.dumps(old)}, not {json.dumps(new)}; "
            "choose another folder or the same settings"
        )


def _differences(old: dict, new: dict, prefix: str = "") -> list[tuple[str, object, object]]:
    found: list[tuple[str, object, object]] = []
    for name, value in new.items():
        if isinstance(value, dict) and value and set(old[name]) == set(value):
            found += _differences(old[name], value)
        elif old[name] != value:
            found.append((name, old[name], value))
    return found
