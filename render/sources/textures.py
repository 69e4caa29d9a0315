"""The images that a model refers to: where they are and how large they say they are.

Only their headers are read: an image of 30,000 px takes gigabytes once it is decoded.
"""

import contextlib
import io
import os
import re
import struct
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from render.model_errors import ModelError
from render.sources.gltf import Gltf
from render.sources.regular import require_regular

LARGEST_SIDE = 16_384
"""Pixels."""

LARGEST_PIXELS = 2**28
"""Largest number of pixels of all images of a model together; decoded, they take a gigabyte."""

FOLDERS = (".", "images", "../images", "textures", "../textures")
"""Where a texture is looked for by its name, from the model's folder."""

_BLENDERS_OWN = {
    b"\x76\x2f\x31\x01": "an EXR",
    b"#?": "a Radiance HDR",
    b"SDPX": "a DPX",
    b"XPDS": "a DPX",
    b"\x80\x2a\x5f\xd7": "a Cineon",
    b"8BPS": "a PSD",
    b"\x00\x00\x00\x0cjP  ": "a JPEG 2000",
    b"\xff\x4f\xff\x51": "a JPEG 2000",
}
"""Formats that Blender reads by their first bytes; of PSD and JPEG 2000, Pillow knows most."""

_LIBRARY = re.compile(rb"^[ \t]*mtllib[ \t]+([^\r\n]+)", re.MULTILINE)
_MAP = re.compile(
    r"^[ \t]*(?:map_\w+|bump|disp|decal|refl|norm)[ \t]+([^\r\n]+)", re.MULTILINE | re.IGNORECASE
)


class MaterialFiles(NamedTuple):
    """The material files of an OBJ file that are there, and the names of those that are not."""

    found: list[Path]
    missing: list[str]


def require_bounded_textures(images: Iterable[tuple[str, Path | io.BytesIO]]) -> None:
    """Makes sure that the images of a model, each given by its name and file or bytes, can be decoded in memory.

    Raises:
        ModelError: One is more than 16,384 px a side, or all together have more than 2^28 pixels, or only Blender
            could say how many.
    """
    total = 0
    for name, image in images:
        size = image_size(image)
        if size is None and (kind := _unknown_format(image)):
            raise ModelError(
                f"its texture {name} is {kind}, whose size is not known before it is loaded; make it a PNG"
            )
        width, height = size or (0, 0)
        if max(width, height) > LARGEST_SIDE:
            raise ModelError(
                f"its texture {name} has {width:,} x {height:,} px; at most {LARGEST_SIDE:,} a side can be rendered"
            )
        total += width * height
    if total > LARGEST_PIXELS:
        raise ModelError(f"its textures have {total:,} px in all; at most {LARGEST_PIXELS:,} can be rendered")


def image_size(image: Path | io.BytesIO) -> tuple[int, int] | None:
    """Width and height that an image's header tells; None where there is no image that Pillow knows."""
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None  # else Pillow does not even tell the size of a large image
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(image) as opened:
            return opened.size
    except (OSError, ValueError, SyntaxError, struct.error):
        return None
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _unknown_format(image: Path | io.BytesIO) -> str | None:
    """The format of an image that Blender reads and Pillow does not; None for all else."""
    try:
        if isinstance(image, Path):
            with image.open("rb") as stream:
                start = stream.read(12)
        else:
            start = image.getvalue()[:12]
    except OSError:
        return None
    return next((kind for magic, kind in _BLENDERS_OWN.items() if start.startswith(magic)), None)


def find_texture(reference: str, model: Path) -> Path | None:
    """The file that a model means by a texture's name, which may be absolute or written on Windows.

    Raises:
        ModelError: It is a pipe, a socket or a device.
    """
    reference = reference.strip().strip('"').replace("\\", "/")
    name = reference.rpartition("/")[2]
    if not name:
        return None
    with contextlib.suppress(OSError, ValueError):
        for path in (model.parent / reference, *(model.parent / folder / name for folder in FOLDERS)):
            if path.is_file():
                return path
            require_regular(path, reference)
    return None


def material_files(model: Path, text: bytes) -> MaterialFiles:
    """The material files that the text of an OBJ file names, as Blender looks for them.

    Raises:
        ModelError: One is a pipe, a socket or a device.
    """
    lines = [line.decode(errors="surrogateescape") for line in _LIBRARY.findall(text)]
    names = dict.fromkeys(line.strip().strip('"') for line in lines)
    paths = {name: model.parent / name for name in names if "\0" not in name}
    default = model.with_suffix(".mtl")
    for name, path in {**paths, default.name: default}.items():
        require_regular(path, name)
    found = [path for path in dict.fromkeys([*paths.values(), default]) if os.path.isfile(path)]  # noqa: PTH113
    return MaterialFiles(found, [name for name, path in paths.items() if path not in found])


def images_of_materials(libraries: Iterable[Path]) -> Iterator[tuple[str, Path]]:
    """The name and file of each image that material files name and that is there, once."""
    seen: set[Path] = set()
    for library in libraries:
        for reference in _MAP.findall(library.read_text(errors="surrogateescape")):
            image = _after_options(reference, library)
            if image is not None and image.resolve() not in seen:
                seen.add(image.resolve())
                yield image.name, image


def _after_options(reference: str, library: Path) -> Path | None:
    """A texture's file behind options such as ``-s 1 1 1``; its name may have spaces."""
    words = reference.split()
    texts = (" ".join(words[start:]) for start in range(len(words)))
    found = (find_texture(text, library) for text in texts)
    return next((path for path in found if path is not None), None)


def images_of_gltf(gltf: Gltf, model: Path) -> Iterator[tuple[str, Path | io.BytesIO]]:
    """The name of each image that a glTF file names or holds, with its file or bytes."""
    for name, uri, content in gltf.images():
        if content is not None:
            yield name, io.BytesIO(content)
        elif (path := find_texture(uri, model)) is not None:
            yield path.name, path
