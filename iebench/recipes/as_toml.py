"""Writes a whole recipe as TOML, with the meaning of each field beside it."""

import json
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from iebench.recipes.recipe import Recipe


def recipe_as_toml(recipe: Recipe) -> str:
    """Writes every field of a recipe as the text of an equal recipe file.

    A field that is left to the machine or the dataset has no value in TOML and is written as a comment.
    """
    return "\n".join(_section(recipe, "")) + "\n"


def _section(section: BaseModel, name: str) -> Iterator[str]:
    fields = type(section).model_fields
    values = {field: getattr(section, field) for field in fields}
    if name:
        yield from ("", f"[{name}]")
    for field, value in values.items():
        if not isinstance(value, BaseModel):
            said = fields[field].description
            line = f"# {field} =" if value is None else f"{field} = {_value(value)}"
            yield f"{line}  # {said}" if said else line
    for field, value in values.items():
        if isinstance(value, BaseModel):
            yield from _section(value, f"{name}.{field}" if name else field)


def _value(value: Any) -> str:
    """Writes a value as TOML, which differs from JSON only in infinity and NaN."""
    if isinstance(value, float):
        return str(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
