"""Where the files are that the published code computed, and the weights that they are about.

``IEBENCH_PARITY_DATA`` names a folder with other files of the same kind: ``parity``, ``parity_images`` and
``parity_equimod``, as in ``tests/data``.
"""

import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor


def parity_folder(name: str) -> Path:
    """The folder ``parity``, ``parity_images`` or ``parity_equimod``."""
    return Path(os.environ.get("IEBENCH_PARITY_DATA") or Path(__file__).parent / "data") / name


def published_weights(shapes: Mapping[str, Sequence[int]], salt: str) -> dict[str, Tensor]:
    """Weights in float64 by their published names, of which they are a function (tests/data/README.md).

    Args:
        shapes: Shape by published name.
        salt: Text before each name, which makes one network's weights differ from another's.
    """
    return {name: _published_weight(name, tuple(shape), salt) for name, shape in shapes.items()}


def _published_weight(name: str, shape: tuple[int, ...], salt: str) -> Tensor:
    generator = np.random.Generator(np.random.Philox(zlib.crc32((salt + name).encode())))
    values = np.asarray(generator.standard_normal(shape))
    if len(shape) == 4:
        values = values * np.sqrt(2 / np.prod(shape[1:]))
    elif len(shape) == 2:
        values = values / np.sqrt(shape[1])
    elif name.endswith("running_var"):
        values = np.exp(0.1 * values)
    elif name.endswith("weight"):
        values = 1 + 0.1 * values
    else:
        values = 0.1 * values
    return torch.from_numpy(np.asarray(values))
