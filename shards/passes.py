"""Passes: images beside a view's JPEG that tell its geometry, as PNG bytes.

========  ======================  ==================================================================
member    PNG                     a pixel's value v
========  ======================  ==================================================================
mask      8-bit greyscale         255 where the pixel's centre sees the object, else 0
depth     16-bit greyscale        ``depth_scale * v`` metres along the camera's axis; 65535: farther
normal    8-bit RGB               ``(v - 128) / 127`` is x, y or z; all three 128: there is no normal
========  ======================  ==================================================================

Normals are unit vectors in the camera's axes: x to the right of the image, y up, z towards the camera.
"""

import io
from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from PIL import Image

from shards.errors import IebenchError, UsageError

Pass = Literal["mask", "depth", "normal"]
PASSES: tuple[Pass, ...] = get_args(Pass)
"""All passes, in the order in which they are listed everywhere."""

DEPTH_SCALE = 1e-4
"""Metres per unit of a stored depth; the scene's floor, which nothing is behind, ends 6.2 m away."""

_FARTHER = 65535
_END = b"IEND\xaeB`\x82"  # the last chunk of every PNG
_COMPRESSION = 3  # of zlib: at 6, depth takes three times as long and 6 % less room
_FORMATS: dict[Pass, tuple[int, int, str]] = {
    "mask": (8, 0, "8-bit greyscale"),
    "depth": (16, 0, "16-bit greyscale"),
    "normal": (8, 2, "8-bit RGB"),
}
"""Bit depth and colour type, as a PNG's header has them, and in words."""


def parse_passes(text: str) -> tuple[Pass, ...]:
    """Reads names of passes separated by commas; the order in which they are given does not count.

    Raises:
        UsageError: there is no such pass.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PASSES:
            raise UsageError(f"there is no pass {name!r}; there are: {', '.join(PASSES)}")
    return in_order(names)


def in_order(names: "tuple[str, ...] | list[str]") -> tuple[Pass, ...]:
    """Those passes that are named, each once, in the order of ``PASSES``."""
    return tuple(name for name in PASSES if name in names)


def member_of(name: Pass) -> str:
    """The extension of the pass's member in a sample, such as ``depth.png``."""
    return f"{name}.png"


def encode_pass(name: Pass, values: np.ndarray) -> bytes:
    """A pass as PNG.

    Args:
        name: Name of the pass.
        values: (height, width) bool for ``mask``; (height, width) float, metres, for ``depth``; (height,
            width, 3) float, unit vectors or zeros, for ``normal``.
    """
    buffer = io.BytesIO()
    stored = np.ascontiguousarray(_ENCODERS[name](values))
    Image.fromarray(stored).save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def _stored_mask(mask: np.ndarray) -> np.ndarray:
    return np.where(mask, 255, 0).astype(np.uint8)


def _stored_depth(depth: np.ndarray) -> np.ndarray:
    known = np.nan_to_num(depth.astype(np.float64), nan=np.inf)
    return np.rint(np.clip(known, 0, _FARTHER * DEPTH_SCALE) / DEPTH_SCALE).astype(np.uint16)


def _stored_normal(normal: np.ndarray) -> np.ndarray:
    return (np.rint(np.clip(normal, -1, 1) * 127) + 128).astype(np.uint8)


_ENCODERS: dict[Pass, Callable[[np.ndarray], np.ndarray]] = {
    "mask": _stored_mask,
    "depth": _stored_depth,
    "normal": _stored_normal,
}


def decode_mask(data: bytes, name: str) -> np.ndarray:
    """(height, width) bool: whether the pixel's centre sees the object.

    Raises:
        IebenchError: the bytes are no whole mask; ``name`` is the sample's, for the message.
    """
    return stored_values("mask", data, name) >= 128


def decode_depth(data: bytes, scale: float, name: str) -> np.ndarray:
    """(height, width) float32: metres along the camera's axis; infinite where it is farther than can be stored.

    Args:
        data: the bytes of the file.
        scale: metres per unit, as the sample's metadata has it.
        name: the sample's, for the error.

    Raises:
        IebenchError: the bytes are no whole depth pass.
    """
    stored = stored_values("depth", data, name)
    return np.where(stored == _FARTHER, np.inf, stored * scale).astype(np.float32)


def decode_normal(data: bytes, name: str) -> np.ndarray:
    """(height, width, 3) float32: unit vectors in the camera's axes; zeros where there is no normal.

    Raises:
        IebenchError: the bytes are no whole normal pass; ``name`` is the sample's, for the message.
    """
    normal = (stored_values("normal", data, name).astype(np.float32) - 128) / 127
    return unit_vectors(normal)


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """(..., 3) float, each of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6)


def stored_values(which: Pass, data: bytes, name: str) -> np.ndarray:
    """The numbers in a pass's PNG: (height, width) uint8 or uint16, or (height, width, 3) uint8.

    Args:
        which: the pass.
        data: the bytes of the file.
        name: the sample's, for the error.

    Raises:
        IebenchError: the bytes are no whole PNG of the pass's format.
    """
    bits, color, words = _FORMATS[which]
    problem = f"{name}: its .{member_of(which)} is no {words} PNG that decodes"
    whole = data.endswith(_END)  # Pillow takes a file whose last bytes are missing
    if not whole or tuple(data[24:26]) != (bits, color):  # of the header chunk, which comes first
        raise IebenchError(f"{problem}; run `iebench verify` on the dataset")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return np.asarray(image).astype(np.uint16 if bits == 16 else np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise IebenchError(f"{problem}; run `iebench verify` on the dataset") from None
