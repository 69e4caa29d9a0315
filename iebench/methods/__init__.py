"""Methods: each a file with its own formulas over shared parts. Every module of this package is imported."""

from importlib import import_module
from pkgutil import iter_modules

from iebench.methods.method import (
    Batch,
    Dimensions,
    EquivariantConfig,
    Method,
    MethodConfig,
    Outcome,
    ProjectedConfig,
    Relation,
    TransformationConfig,
    find_method,
    register,
)

__all__ = [
    "Batch",
    "Dimensions",
    "EquivariantConfig",
    "Method",
    "MethodConfig",
    "Outcome",
    "ProjectedConfig",
    "Relation",
    "TransformationConfig",
    "find_method",
    "register",
]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
