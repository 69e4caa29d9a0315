"""The recipes in the package: what there is, and what each says about itself."""

import tomllib
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True)
class Summary:
    """A recipe in a line."""

    name: str
    what: str
    paper: str


def recipe_names() -> list[str]:
    """The recipes in the package."""
    return sorted(
        item.name.removesuffix(".toml")
        for item in resources.files(__name__).iterdir()
        if item.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """The TOML of a recipe in the package."""
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")


def summaries() -> list[Summary]:
    """What the recipes say about themselves, without what they are made of being loaded."""
    found = []
    for name in recipe_names():
        about = tomllib.loads(recipe_text(name))["about"]
        found.append(Summary(name, about["what"], about["paper"]))
    return found
