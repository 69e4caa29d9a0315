"""Views as JPEG bytes: quality 95 without chroma subsampling by default, because hue is a latent."""

import io
from typing import Literal

import numpy as np
from PIL import Image

from shards.errors import IebenchError

Chroma = Literal["4:4:4", "4:2:2", "4:2:0"]
"""Chroma subsampling, as Pillow names it."""

ChannelOrder = Literal["rgb", "bgr"]
"""The order in which a JPEG stores the channels; the published images have red and blue swapped."""


def encode_jpeg(
    pixels: np.ndarray, quality: int = 95, chroma: Chroma = "4:4:4", channel_order: ChannelOrder = "rgb"
) -> bytes:
    """Encodes (height, width, 3) uint8 RGB.

    Args:
        pixels: the image.
        quality: of the JPEG, 1 to 100.
        chroma: subsampling.
        channel_order: ``bgr`` stores blue where others look for red.
    """
    buffer = io.BytesIO()
    stored = pixels if channel_order == "rgb" else np.ascontiguousarray(pixels[..., ::-1])
    Image.fromarray(stored).save(buffer, "JPEG", quality=quality, subsampling=chroma)
    return buffer.getvalue()


def decode_jpeg(data: bytes, name: str) -> np.ndarray:
    """Decodes to (height, width, 3) uint8 RGB.

    Args:
        data: the bytes of the file.
        name: the sample's name, for the error.

    Raises:
        IebenchError: the bytes are no whole JPEG.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise IebenchError(
            f"{name}: its JPEG does not decode ({error}); run `iebench verify` on the dataset"
        ) from None
