"""Methods: each a small file with its loss over shared parts."""

from iebench.methods.sie import SIE, SIEConfig

__all__ = ["SIE", "SIEConfig"]
