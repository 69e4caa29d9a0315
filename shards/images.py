"""Views as JPEG bytes: quality 95 without chroma subsampling, because hue is a latent."""

import io

import numpy as np
from PIL import Image

from shards.errors import IebenchError


def encode_jpeg(pixels: np.ndarray, quality: int = 95) -> bytes:
    """Encodes (height, width, 3) uint8 RGB."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality, subsampling=0)
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
