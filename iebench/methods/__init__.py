"""Methods. Each is one file with its own formulas over shared parts; importing the package registers all of them."""

from importlib import import_module
from pkgutil import iter_modules

from iebench.methods.method import (
    Batch,
    Dimensions,
    Method,
    MethodConfig,
    Outcome,
    Relation,
    find_method,
    register,
)

__all__ = ["Batch", "Dimensions", "Method", "MethodConfig", "Outcome", "Relation", "find_method", "register"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
