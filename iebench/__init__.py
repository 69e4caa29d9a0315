"""Benchmarks of representations that are invariant and equivariant at once."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iebench.backbones.export import load_backbone as load_backbone

try:
    __version__ = version("iebench")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    """Imports what needs PyTorch when it is first asked for."""
    if name == "load_backbone":
        from iebench.backbones.export import load_backbone

        return load_backbone
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
