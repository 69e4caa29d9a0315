"""Encodes and decodes passes, which are PNG images of a view's geometry stored beside its JPEG.

========  ======================  ==================================================================
member    PNG                     meaning of a pixel's value v
========  ======================  ==================================================================
mask      8-bit greyscale         255 where the object is seen at the pixel's centre, else 0
depth     16-bit greyscale        ``depth_scale * v`` metres along the camera's axis; 65535: farther
normal    8-bit RGB               ``(v - 128) / 127`` is x, y or z; all three 128: there is no normal
========  ======================  ==================================================================

Normals are unit vectors in the camera's axes: x to the right of the image, y up, z towards the camera.
"""

import io
from typing import Literal, get_args

import numpy as np
from PIL import Image

from shards.errors import IebenchError, UsageError

Pass = Literal["mask", "depth", "normal"]
PASSES: tuple[Pass, ...] = get_args(Pass)
"""Names of all passes, in the order in which they are always listed."""

DEPTH_SCALE = 1e-4
"""Metres per unit of a stored depth. 65534 units are 6.55 m; the floor, which is farthest away, ends at 6.2 m."""

_FARTHER = 65535
_END = b"IEND\xaeB`\x82"  # the last chunk of every PNG
_COMPRESSION = 3  # level of zlib; at 6, encoding depth takes three times as long and saves 6 % of the bytes
_FORMATS: dict[Pass, tuple[int, int, str]] = {
    "mask": (8, 0, "8-bit greyscale"),
    "depth": (16, 0, "16-bit greyscale"),
    "normal": (8, 2, "8-bit RGB"),
}
"""Bit depth and color type in the PNG's header, and the same in words for error messages."""


def parse_passes(text: str) -> tuple[Pass, ...]:
    """Parses names of passes that are separated by commas, and returns them in the order of ``PASSES``.

    Raises:
        UsageError: There is no pass of this name.
    """
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in PASSES:
            raise UsageError(f"there is no pass {name!r}; there are: {', '.join(PASSES)}")
    return in_order(names)


def in_order(names: "tuple[str, ...] | list[str]") -> tuple[Pass, ...]:
    """Returns the named passes, each once, in the order of ``PASSES``."""
    return tuple(name for name in PASSES if name in names)


def member_of(name: Pass) -> str:
    """Returns the extension of the pass's member in a sample, such as ``depth.png``."""
    return f"{name}.png"


def encode_pass(name: Pass, values: np.ndarray) -> bytes:
    """Encodes a pass as PNG.

    Args:
        name: Name of the pass.
        values: (height, width) bool for ``mask``; (height, width) float, in metres, for ``depth``; (height,
            width, 3) float, unit vectors or zeros, for ``normal``.
    """
    if name == "mask":
        stored = np.where(values, 255, 0).astype(np.uint8)
    elif name == "depth":
        known = np.nan_to_num(values.astype(np.float64), nan=np.inf)
        stored = np.rint(np.clip(known, 0, _FARTHER * DEPTH_SCALE) / DEPTH_SCALE).astype(np.uint16)
    else:
        stored = (np.rint(np.clip(values, -1, 1) * 127) + 128).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(stored)).save(buffer, "PNG", compress_level=_COMPRESSION)
    return buffer.getvalue()


def decode_mask(data: bytes, name: str) -> np.ndarray:
    """Decodes a mask to (height, width) bool; True where the object is seen at the pixel's centre.

    The three decoders raise an ``IebenchError`` with the ``name`` of a sample whose PNG is broken.
    """
    return stored_values("mask", data, name) >= 128


def decode_depth(data: bytes, scale: float, name: str) -> np.ndarray:
    """Decodes depths, of ``scale`` metres per unit, to (height, width) float32 metres; infinite if too far to store."""
    stored = stored_values("depth", data, name)
    return np.where(stored == _FARTHER, np.inf, stored * scale).astype(np.float32)


def decode_normal(data: bytes, name: str) -> np.ndarray:
    """Decodes normals to (height, width, 3) float32 unit vectors in the camera's axes; zeros where there is none."""
    normal = (stored_values("normal", data, name).astype(np.float32) - 128) / 127
    return unit_vectors(normal)


def unit_vectors(vectors: np.ndarray) -> np.ndarray:
    """Scales (..., 3) float vectors to length 1; zero vectors stay zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, lengths, out=np.zeros_like(vectors), where=lengths > 1e-6)


def stored_values(which: Pass, data: bytes, name: str) -> np.ndarray:
    """Decodes the PNG of the pass ``which`` to the stored numbers.

    Returns:
        (height, width) uint8 for ``mask``, (height, width) uint16 for ``depth``, (height, width, 3) uint8 for
        ``normal``.

    Raises:
        IebenchError: The bytes are not a complete PNG of the pass's format; the message begins with ``name``.
    """
    bits, color, words = _FORMATS[which]
    problem = f"{name}: its .{member_of(which)} is no {words} PNG that decodes"
    whole = data.endswith(_END)  # Pillow also reads a file whose last bytes are missing
    if not whole or tuple(data[24:26]) != (bits, color):  # from the header chunk
        raise IebenchError(f"{problem}; run `iebench verify` on the dataset")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            return np.asarray(image).astype(np.uint16 if bits == 16 else np.uint8)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise IebenchError(f"{problem}; run `iebench verify` on the dataset") from None
