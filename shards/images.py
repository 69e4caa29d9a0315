"""Views as JPEG bytes: quality 95 without chroma subsampling by default, because hue is a latent."""

import io
from typing import Literal

import numpy as np
import simplejpeg
from PIL import Image

from shards.errors import IebenchError

Chroma = Literal["4:4:4", "4:2:2", "4:2:0"]
"""Chroma subsampling, as Pillow names it."""

JpegTables = Literal["standard", "flat"]
"""Steps of the DCT coefficients: those of the JPEG standard, coarse in high frequencies and in color, or all equal."""

_FLAT_STEP = 30
"""Step of every coefficient at quality 50, scaled as the standard's tables are: 3 at quality 95, 2 at 97."""

ChannelOrder = Literal["rgb", "bgr"]
"""The order in which a JPEG stores the channels; the published images have red and blue swapped."""


LARGEST_SIDE = 8192
"""Pixels; a JPEG that says that it is larger is not decoded, as it would take gigabytes."""


def encode_jpeg(
    pixels: np.ndarray,
    quality: int = 95,
    chroma: Chroma = "4:4:4",
    channel_order: ChannelOrder = "rgb",
    tables: JpegTables = "standard",
) -> bytes:
    """Encodes (height, width, 3) uint8 RGB.

    Args:
        pixels: the image.
        quality: Quality of the JPEG, 1 to 100.
        chroma: subsampling.
        channel_order: ``bgr`` stores blue where others look for red.
        tables: ``flat`` steps leave a smaller squared error in fewer bytes, for the Huffman codes also fit the image.
    """
    buffer = io.BytesIO()
    stored = pixels if channel_order == "rgb" else np.ascontiguousarray(pixels[..., ::-1])
    how = {"quality": quality} if tables == "standard" else {"qtables": _flat(quality), "optimize": True}
    Image.fromarray(stored).save(buffer, "JPEG", subsampling=chroma, **how)
    return buffer.getvalue()


def _flat(quality: int) -> list[list[int]]:
    """The step of each coefficient, for luma and for chroma."""
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    step = min(max(round(_FLAT_STEP * percent / 100), 1), 255)
    return [[step] * 64] * 2


def jpeg_size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height by the header alone.

    Raises:
        IebenchError: the bytes are no JPEG.
    """
    try:
        height, width, _, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError as error:
        raise IebenchError(f"{name}: it is no JPEG that can be read ({error})") from None
    return width, height


def decode_jpeg(
    data: bytes, name: str, channel_order: ChannelOrder = "rgb", out: np.ndarray | None = None
) -> np.ndarray:
    """Decodes to (height, width, 3) uint8 RGB, pixel for pixel as Pillow does.

    Args:
        data: the bytes of the file.
        name: the sample's name, for the error.
        channel_order: Order of the channels in the file; ``bgr`` is swapped back.
        out: an array of the image's own shape to decode into; by default a new one.

    Raises:
        IebenchError: the bytes are no whole JPEG, or not of the size of ``out``, or of more than ``LARGEST_SIDE``
            pixels a side, which is told by the header before anything is decoded.
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
    """Scales a picture by its shorter side (bicubic, antialiased) and takes the square in its middle.

    Args:
        pixels: (height, width, 3) uint8.
        shorter: The shorter side after scaling, pixels.
        square: Side of the square, pixels; at most ``shorter``.

    Returns:
        (square, square, 3) uint8.
    """
    height, width = pixels.shape[:2]
    side = min(height, width)
    cut = square * side / shorter  # the square's side in the picture's own pixels
    box = ((width - cut) / 2, (height - cut) / 2, (width + cut) / 2, (height + cut) / 2)
    image = Image.fromarray(pixels).resize((square, square), Image.Resampling.BICUBIC, box=box)
    return np.array(image)
