"""The recipes in the package, and how one recipe extends another. Reading them does not load PyTorch."""

import difflib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from shards.errors import UsageError


@dataclass(frozen=True)
class Summary:
    """The name of a recipe, what it trains, and its paper."""

    name: str
    what: str
    paper: str


def recipe_names() -> list[str]:
    """Lists the recipes in the package."""
    return sorted(
        item.name.removesuffix(".toml")
        for item in resources.files(__name__).iterdir()
        if item.name.endswith(".toml")
    )


def summaries() -> list[Summary]:
    """Reads what the recipes in the package say about themselves."""
    abouts = [(name, read_recipe(name)["about"]) for name in recipe_names()]
    return [Summary(name, about["what"], about["paper"]) for name, about in abouts]


def read_recipe(name: str) -> dict[str, Any]:
    """Reads a recipe together with all that it extends; the fields are not checked.

    Args:
        name: Name of a recipe in the package, or the path of a ``.toml`` file.

    Raises:
        UsageError: A recipe does not exist, is not TOML, or extends itself.
    """
    return _read(name, Path(), [])


def suggestion(name: str, candidates: Sequence[str]) -> str:
    """Returns the end of an error message that names the nearest candidate."""
    matches = difflib.get_close_matches(name, candidates, n=1, cutoff=0.0)
    return f"; did you mean {matches[0]!r}?" if matches else ""


def _read(name: str, folder: Path, extending: list[str]) -> dict[str, Any]:
    """Reads a recipe that stands at the end of the chain ``extending``; files are relative to ``folder``."""
    is_file = name.endswith(".toml")
    path = folder / name
    chain = [*extending, str(path.resolve()) if is_file else name]
    if chain[-1] in extending:
        cycle = chain[chain.index(chain[-1]) :]
        raise UsageError(
            f"recipe {name} extends itself ({' -> '.join(cycle)}); take one `extends` out of this chain"
        )
    try:
        content = tomllib.loads(_text(path) if is_file else _text_in_package(name, extending))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"recipe {name} is not valid TOML: {error}") from None
    base = content.pop("extends", None)
    if base is None:
        return content
    if not isinstance(base, str):
        raise UsageError(f"recipe {name}: extends takes the name of one recipe or .toml file, not {base!r}")
    return merged(_read(base, path.parent if is_file else folder, chain), content)


def merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Lays the fields of one recipe over those of another.

    Sections are merged field by field, and everything else is replaced. If ``[method]`` names another method, it starts
    anew, because the fields of one method mean nothing to another; so does ``[about]``, which cites the other's paper::

        base      [about] paper = "SIE"     [method] name = "sie", cov = 2.0     [training] epochs = 10, seed = 3
        changes                             [method] name = "simclr"             [training] epochs = 20
        result                              [method] name = "simclr"             [training] epochs = 20, seed = 3
    """
    before, after = (content.get("method", {}).get("name") for content in (base, changes))
    if None not in (before, after) and before != after:
        base = {name: value for name, value in base.items() if name not in ("about", "method")}
    return _laid_over(base, changes)


def _laid_over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in changes.items():
        is_section = isinstance(value, dict) and isinstance(result.get(name), dict)
        result[name] = _laid_over(result[name], value) if is_section else value
    return result


def _text(path: Path) -> str:
    if not path.is_file():
        raise UsageError(f"there is no recipe file {path}")
    return path.read_text(encoding="utf-8")


def _text_in_package(name: str, extending: Sequence[str]) -> str:
    names = recipe_names()
    if name not in names:
        asker = f", which {extending[-1]} extends" if extending else ""
        raise UsageError(
            f"there is no recipe {name!r}{asker}{suggestion(name, names)}; there are: {', '.join(names)}"
        )
    return resources.files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
