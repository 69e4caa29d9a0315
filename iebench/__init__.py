"""Benchmarks of representations that are invariant and equivariant at once."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("iebench")
except PackageNotFoundError:  # a checkout that is not installed
    __version__ = "0+unknown"
