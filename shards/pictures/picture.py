"""Converts a picture from its source to the JPEG that a dataset stores."""

import io
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from shards.errors import IebenchError, first_line
from shards.images import LARGEST_SIDE, ChannelOrder, decode_jpeg, encode_jpeg, fitted

SMALLEST_SIDE = 8
"""Smallest width and height of a picture in pixels; a smaller one is of no use for crops."""
FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".tif", ".tiff")

_ORIENTATION = 0x0112
_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L")
_LOSSLESS_SOURCE, _SCALED = 100, 95
"""JPEG quality of pictures from other formats, and of scaled pictures."""


@dataclass(frozen=True)
class Picture:
    """A picture in the catalog; its synset is its class, and its object_id its name within the class.

    Its location in the source is the parts of a path, or a file with a number or with an offset and a size.
    """

    synset: str
    object_id: str
    label: int
    split: str
    location: tuple[str | int, ...]


class StoredPicture(NamedTuple):
    """The JPEG that a dataset stores, its pixels (height, width, 3) uint8 RGB, and the conversions made, in words."""

    jpeg: bytes
    pixels: np.ndarray
    notes: tuple[str, ...]


def stored_picture(
    source: bytes | np.ndarray, size: int | None = None, channel_order: ChannelOrder = "rgb"
) -> StoredPicture:
    """Converts a picture to a JPEG. A plain JPEG keeps its bytes; other formats are encoded at quality 100.

    Args:
        source: Bytes of a picture, or (height, width, 3) uint8 RGB.
        size: Side in pixels of the square to which pictures are scaled and cut, at quality 95; None keeps their size.
        channel_order: Order of the channels in the JPEG.

    Raises:
        IebenchError: The picture does not decode, or it is too large, too small, transparent or has more than 8 bits.
    """
    notes: tuple[str, ...] = ()
    if isinstance(source, np.ndarray):
        pixels = source
    else:
        with _opened(source) as image:
            notes = _notes(image)
            is_plain = (
                image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L") and not _is_turned(image)
            )
            if size is None and is_plain:
                return StoredPicture(source, _decoded(source, channel_order), notes)
            pixels = _decoded(source, channel_order) if is_plain else _converted(image)
    if size is not None:
        pixels = fitted(pixels, size, size)
    jpeg = encode_jpeg(pixels, _LOSSLESS_SOURCE if size is None else _SCALED, channel_order=channel_order)
    return StoredPicture(jpeg, _decoded(jpeg, channel_order), notes)


def picture_size(source: bytes | np.ndarray) -> tuple[int, int]:
    """Reads the width and height of a picture from its header, after turning it upright.

    Raises:
        IebenchError: The bytes are not a picture that can be stored.
    """
    if isinstance(source, np.ndarray):
        return source.shape[1], source.shape[0]
    with _opened(source) as image:
        width, height = image.size
        is_on_its_side = _orientation(image) >= 5
    return (height, width) if is_on_its_side else (width, height)


def _opened(source: bytes) -> Image.Image:
    """Opens a picture and checks from its header that it can be stored."""
    try:
        image = Image.open(io.BytesIO(source), formats=FORMATS)
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise IebenchError(f"it is no picture that can be read ({_reason(error)})") from None
    width, height = image.size
    if max(width, height) > LARGEST_SIDE:
        raise IebenchError(
            f"it has {width} x {height} px, and at most {LARGEST_SIDE} a side are read; make it smaller"
        )
    if min(width, height) < SMALLEST_SIDE:
        raise IebenchError(f"it has {width} x {height} px, and at least {SMALLEST_SIDE} a side are needed")
    is_deep_png = image.format == "PNG" and source[24:25] == b"\x10"
    if image.mode in _DEEP_MODES or is_deep_png:
        raise IebenchError("it has more than 8 bits a channel, which a JPEG cannot hold; convert it to 8")
    return image


def _notes(image: Image.Image) -> tuple[str, ...]:
    found = []
    if image.mode in ("1", "L", "LA"):
        found.append("one channel, which is all three")
    if image.mode == "CMYK":
        found.append("converted from CMYK")
    if _is_turned(image):
        found.append("turned upright as its EXIF says")
    return tuple(found)


def _is_turned(image: Image.Image) -> bool:
    return _orientation(image) not in (0, 1)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except (OSError, ValueError, SyntaxError, TypeError) as error:  # Pillow reads a whole PNG for its EXIF
        raise IebenchError(f"it does not decode ({_reason(error)})") from None


def _converted(image: Image.Image) -> np.ndarray:
    """Decodes a picture to (height, width, 3) uint8 RGB, turned upright; it must be opaque."""
    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
            upright = upright.convert("RGBA")
            if np.asarray(upright)[..., 3].min() < 255:
                raise IebenchError("it has transparent pixels, which have no color; put it on a background")
        return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise IebenchError(f"it does not decode ({_reason(error)})") from None


def _decoded(jpeg: bytes, channel_order: ChannelOrder) -> np.ndarray:
    try:
        return decode_jpeg(jpeg, "it", channel_order)
    except IebenchError as error:
        raise IebenchError(str(error).split("; run `")[0].removeprefix("it: ")) from None


def _reason(error: Exception) -> str:
    """Returns the first line of Pillow's message without the object in angle brackets at its end."""
    return first_line(error).split("<")[0].strip()
