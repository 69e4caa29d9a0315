"""What is to be rendered: the settings of a dataset, its jobs and the shards they go to."""

import importlib.metadata
import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from render.catalog import ObjectRef, fingerprint
from render.settings import RenderSettings
from shards.errors import UsageError
from shards.schema import Variant


class PlanSettings(BaseModel):
    """All that decides a dataset's bytes, besides the model files themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    variant: Variant = "3diebench"
    seed: int = 0
    views: int = Field(default=50, ge=2, description="views per object")
    objects_per_shard: int = Field(default=100, ge=1)
    render: RenderSettings = RenderSettings()
    blender: str = ""
    catalogue_sha256: str = ""


@dataclass(frozen=True)
class Job:
    """One object, all its views."""

    item: ObjectRef
    settings: PlanSettings
    staging: Path


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


def make_plan(objects: Sequence[ObjectRef], settings: PlanSettings) -> Plan:
    """Puts the objects of each split, in catalogue order, into shards of ``objects_per_shard``."""
    blender = importlib.metadata.version("bpy") if importlib.util.find_spec("bpy") else "none"
    settings = settings.model_copy(update={"catalogue_sha256": fingerprint(objects), "blender": blender})
    shards = []
    for split in ("train", "val"):
        members = [item for item in objects if item.split == split]
        size = settings.objects_per_shard
        for number, start in enumerate(range(0, len(members), size)):
            shards.append(ShardPlan(f"{split}-{number:06d}.tar", split, tuple(members[start : start + size])))
    return Plan(settings, tuple(objects), tuple(shards))


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
        if isinstance(value, dict):
            found += _differences(old[name], value)
        elif old[name] != value:
            found.append((name, old[name], value))
    return found
