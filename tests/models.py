"""Model files written for one test: good ones and those that cannot be rendered."""

import struct
import zlib
from pathlib import Path

from render.catalog import ObjectRef

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 0 1\nf -3 -2 -1\n"

UNUSABLE: dict[str, tuple[str | bytes | None, str]] = {
    "garbage": (bytes(range(256)) * 20, "it holds no faces"),
    "empty": ("", "it holds no faces"),
    "faceless": ("v 0 0 0\nv 1 0 0\nv 0 1 0\n", "it holds no faces"),
    "infinite": ("v -Inf 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "it holds coordinates that are not finite"),
    "nan": ("v 0 1 0\nv 0 nan 0\nv 1 0 0\nf 1 2 3\n", "it holds coordinates that are not finite"),
    "missing": (None, r"there is no .*model_normalized\.obj"),
    "huge": ("v 1e30 0 0\nv -1e30 0 0\nv 0 1e30 0\nf 1 2 3\n", r"it is 2e\+30 m large"),
}
"""Contents (None: no file) and why they cannot be rendered, as a regular expression."""


def write_model(folder: Path, content: str | bytes | None) -> Path:
    """Puts a model where ShapeNetCore v2 would; returns its path."""
    path = folder / "models" / "model_normalized.obj"
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def as_object(path: Path, rescaled: bool = False) -> ObjectRef:
    """One model file as a catalogue of its own."""
    return ObjectRef("class", path.stem, path, label=0, split="train", rescaled=rescaled)


def png_header(width: int, height: int) -> bytes:
    """The start of a PNG of any size, which is all that is read of it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return start + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))
