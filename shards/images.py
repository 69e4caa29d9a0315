"""Encodes and decodes views as JPEG, by default at quality 95 without chroma subsampling, because hue is a latent."""

import io
from typing import Literal

import numpy as np
import simplejpeg
from PIL import Image

from shards.errors import IebenchError

Chroma = Literal["4:4:4", "4:2:2", "4:2:0"]
"""Chroma subsampling, by Pillow's names."""

JpegTables = Literal["standard", "flat"]
"""Quantization tables: ``standard`` ones are coarser in high frequencies and in color, ``flat`` ones are all equal."""

_FLAT_STEP = 30
"""Step of every coefficient at quality 50; it is scaled like the standard's tables, to 3 at quality 95 and 2 at 97."""

ChannelOrder = Literal["rgb", "bgr"]
"""Order of the channels in a JPEG; the published images are ``bgr``, with red and blue swapped."""

LARGEST_SIDE = 8192
"""Largest width and height that is decoded, in pixels, because a larger image would take gigabytes of memory."""


def encode_jpeg(
    pixels: np.ndarray,
    quality: int = 95,
    chroma: Chroma = "4:4:4",
    channel_order: ChannelOrder = "rgb",
    tables: JpegTables = "standard",
) -> bytes:
    """Encodes (height, width, 3) uint8 RGB as JPEG of a quality from 1 to 100.

    ``flat`` tables give a smaller squared error in fewer bytes, as the Huffman codes are then fitted to the image, too.
    """
    buffer = io.BytesIO()
    stored = pixels if channel_order == "rgb" else np.ascontiguousarray(pixels[..., ::-1])
    how = {"quality": quality} if tables == "standard" else {"qtables": _flat(quality), "optimize": True}
    Image.fromarray(stored).save(buffer, "JPEG", subsampling=chroma, **how)
    return buffer.getvalue()


def _flat(quality: int) -> list[list[int]]:
    """Returns the quantization tables of luma and chroma, with the same step for every coefficient."""
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    step = min(max(round(_FLAT_STEP * percent / 100), 1), 255)
    return [[step] * 64] * 2


def jpeg_size(data: bytes, name: str) -> tuple[int, int]:
    """Reads the width and height of a JPEG from its header.

    Raises:
        IebenchError: The bytes are not a JPEG.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise IebenchError(f"{name}: it is no JPEG that can be read ({error})") from None
    return width, height


def decode_jpeg(
    data: bytes, name: str, channel_order: ChannelOrder = "rgb", out: np.ndarray | None = None
) -> np.ndarray:
    """Decodes a JPEG to (height, width, 3) uint8 RGB, with exactly the pixels that Pillow gives.

    Args:
        data: Bytes of the JPEG.
        name: Name of the sample, for error messages.
        channel_order: Order of the channels in the JPEG; ``bgr`` is swapped back.
        out: Array of the image's shape to decode into; by default a new one.

    Raises:
        IebenchError: The bytes are not a complete JPEG, or the image does not have the size of ``out``. Without
            ``out``, also an image with a side of more than ``LARGEST_SIDE`` pixels, which is then not decoded.
    """
    colors = "RGB" if channel_order == "rgb" else "BGR"
    try:
        if out is None:
            height, width, _, _ = simplejpeg.decode_jpeg_header(data)
            if max(height, width) > LARGEST_SIDE:
                raise ValueError(f"it has {width} x {height} px, and at most {LARGEST_SIDE} a side are read")
            return simplejpeg.decode_jpeg(data, colors)
        pixels = simplejpeg.decode_jpeg(data, colors, buffer=out)
    except ValueError as error:
        raise IebenchError(
            f"{name}: its JPEG does not decode ({error}); run `iebench verify` on the dataset"
        ) from None
    if pixels.shape != out.shape:
        raise IebenchError(
            f"{name}: its JPEG has {pixels.shape[1]} x {pixels.shape[0]} px and should have {out.shape[1]} x "
            f"{out.shape[0]}; run `iebench verify` on the dataset"
        )
    return pixels


def fitted(pixels: np.ndarray, shorter: int, square: int) -> np.ndarray:
    """Scales a picture by its shorter side (bicubic, antialiased) and cuts out the square in its middle.

    Args:
        pixels: (height, width, 3) uint8.
        shorter: Shorter side of the scaled picture, in pixels.
        square: Side of the square in pixels; at most ``shorter``.

    Returns:
        (square, square, 3) uint8.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    cut = square * side / shorter  # side of the square in pixels of the picture before scaling
    box = ((width - cut) / 2, (height - cut) / 2, (width + cut) / 2, (height + cut) / 2)
    image = Image.fromarray(pixels).resize((square, square), Image.Resampling.BICUBIC, box=box)
    return np.array(image)
