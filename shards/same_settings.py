"""Checks that a dataset under way is continued with the settings that it was begun with."""

import json
from pathlib import Path

from pydantic import BaseModel

from shards.errors import UsageError
from shards.schema import INDEX_NAME, parse_index

SETTINGS_NAME = "settings.json"
"""File with the settings of a dataset under way, in a folder that exists until the dataset is complete."""


def require_new_or_same_dataset(out: Path, begun: Path, settings: BaseModel, made: str) -> None:
    """Raises an error unless a folder is new, empty, or holds a dataset with the same settings.

    Args:
        out: Folder of the dataset.
        begun: Path of the settings of a dataset under way, in a folder inside ``out``.
        settings: Settings of this run.
        made: Verb for the way these datasets are made, such as ``rendered``.

    Raises:
        UsageError: The folder holds something else; the message names the first setting that differs.
    """
    index_path = out / INDEX_NAME
    if index_path.is_file():
        require_same_settings(parse_index(index_path).renderer, settings, out, made)
    elif begun.is_file():
        require_same_settings(begun.read_text(), settings, out, made)
    else:
        require_usable_folder(out, out / begun.relative_to(out).parts[0])


def require_usable_folder(out: Path, begun: Path) -> None:
    """Raises a UsageError unless a folder is new, empty, or holds a dataset of iebench with any settings.

    Args:
        out: Folder of the dataset.
        begun: Folder inside ``out`` that exists while a dataset is under way.
    """
    if (out / INDEX_NAME).is_file() or not out.exists():
        return
    alone = out.is_dir() and all(item == begun for item in out.iterdir())
    if not alone and not (begun / SETTINGS_NAME).is_file():
        raise UsageError(f"{out} exists and holds no dataset of ours; choose a folder that is new or empty")


def require_same_settings(recorded: str | dict, settings: BaseModel, folder: Path, made: str) -> None:
    """Raises a UsageError if the settings of this run differ from the recorded ones, which are JSON or parsed."""
    try:
        content = json.loads(recorded) if isinstance(recorded, str) else recorded
        there = type(settings).model_validate(content)
    except ValueError:  # the base class of pydantic's and json's errors
        raise UsageError(
            f"{folder} was begun by an iebench with other settings; choose another folder"
        ) from None
    for name, old, new in _differences(there.model_dump(), settings.model_dump()):
        if name == "catalogue_sha256":
            raise UsageError(
                f"{folder} holds a dataset of other objects (some were added, removed or limited since); choose another "
                "folder, or --add where some were added to a dataset that is whole"
            )
        raise UsageError(
            f"{folder} holds a dataset {made} with {name} {json.dumps(old)}, not {json.dumps(new)}; "
            "choose another folder or the same settings"
        )


def _differences(old: dict, new: dict) -> list[tuple[str, object, object]]:
    found: list[tuple[str, object, object]] = []
    for name, value in new.items():
        if isinstance(value, dict) and value and set(old[name]) == set(value):
            found += _differences(old[name], value)
        elif old[name] != value:
            found.append((name, old[name], value))
    return found
