"""Benchmarks of representations that are invariant and equivariant at once."""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iebench.backbones.export import load_backbone
    from iebench.recipes.recipe import Recipe
    from iebench.training.loop import TrainingResult, train

__all__ = ["Recipe", "TrainingResult", "__version__", "load_backbone", "train"]

try:
    __version__ = version("iebench")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"

_HOMES = {
    "Recipe": "iebench.recipes.recipe",
    "TrainingResult": "iebench.training.loop",
    "load_backbone": "iebench.backbones.export",
    "train": "iebench.training.loop",
}


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that ``import iebench`` does not wait for PyTorch."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
