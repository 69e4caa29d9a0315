"""A look into a glTF file without an importer: its images and its coordinates."""

import base64
import json
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np

from render.model_errors import ModelError, unreadable
from render.sources.regular import require_regular

_LONGEST_TEXT = 2**28  # bytes of JSON
_FLOAT = 5126  # componentType of glTF
_BAD_CONTENT = (ValueError, LookupError, TypeError, AttributeError, RecursionError, struct.error)

_UNSUPPORTED = frozenset({"EXT_meshopt_compression", "KHR_meshopt_compression", "KHR_texture_basisu"})
"""Extensions that Blender 4.5 has no decoder for. It reads Draco's."""


class Gltf:
    """A .gltf or .glb file.

    Raises:
        ModelError: Its structure is not that of glTF; its methods raise this too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunk = 0  # where the binary part starts
        try:
            self._content = self._read()
        except _BAD_CONTENT:
            raise unreadable(path) from None

    def require_supported(self) -> None:
        """Makes sure that Blender can decode the file, and that all it refers to is in its own folder or the one above.

        Raises:
            ModelError: It requires an extension that Blender lacks, or refers to something else.
        """
        try:
            lacking = _UNSUPPORTED.intersection(self._content.get("extensionsRequired", []))
            named = [*self._content.get("buffers", []), *self._content.get("images", [])]
            uris = [item["uri"] for item in named if item.get("uri") and not item["uri"].startswith("data:")]
        except _BAD_CONTENT:
            raise unreadable(self._path) from None
        if lacking:
            raise ModelError(f"it requires {min(lacking)}, which Blender cannot read; store it without")
        for uri in uris:
            self._require_own(uri)

    def _require_own(self, uri: str) -> None:
        """Refuses a URI that leads to a file out of the model's folder, or to something that is no regular file.

        Textures may lie beside the folder, as in ``../textures``. What is nowhere may still be found by its name.
        """
        path = self._path.parent / unquote(uri)
        own = Path(os.path.abspath(self._path.parent.parent))  # noqa: PTH100
        if os.path.exists(path) and not Path(os.path.abspath(path)).is_relative_to(own):  # noqa: PTH100, PTH110
            raise ModelError(f"it refers to {uri[:200]}, which is outside its folder")
        require_regular(path, uri)

    def images(self) -> Iterator[tuple[str, str, bytes | None]]:
        """The name, URI and bytes of each image; no bytes where it is a file of its own."""
        try:
            for number, image in enumerate(self._content.get("images", [])):
                uri = image.get("uri") or ""
                name = str(image.get("name") or f"number {number}")
                if not uri:
                    yield name, "", self._bytes_of_view(image["bufferView"])
                elif uri.startswith("data:"):
                    yield name, "", _data_of(uri)
                else:
                    yield name, unquote(uri), None
        except _BAD_CONTENT:
            raise unreadable(self._path) from None

    def positions(self) -> Iterator[np.ndarray]:
        """The coordinates of each part of each mesh, (n, 3) float32, where they are stored plainly."""
        try:
            parts = [part for mesh in self._content.get("meshes", []) for part in mesh["primitives"]]
            numbers = {part["attributes"].get("POSITION") for part in parts}
            accessors = [self._content["accessors"][number] for number in sorted(numbers - {None})]
            for accessor in accessors:
                if accessor["componentType"] == _FLOAT and "bufferView" in accessor:  # else it is compressed
                    yield self._vectors(accessor)
        except _BAD_CONTENT:
            raise unreadable(self._path) from None

    def _read(self) -> dict[str, Any]:
        with self._path.open("rb") as stream:
            if self._path.suffix.lower() == ".gltf":
                return _parsed(stream.read(_LONGEST_TEXT))
            magic, _, _, length, kind = struct.unpack("<4sIII4s", stream.read(20))
            if magic != b"glTF" or kind != b"JSON" or length > _LONGEST_TEXT:
                raise ValueError("no header of GLB")
            self._chunk = 20 + length + 8
            return _parsed(stream.read(length))

    def _vectors(self, accessor: dict[str, Any]) -> np.ndarray:
        count, start = accessor["count"], accessor.get("byteOffset", 0)
        stride = self._content["bufferViews"][accessor["bufferView"]].get("byteStride") or 12
        content = self._bytes_of_view(accessor["bufferView"])
        return np.ndarray((count, 3), "<f4", content, start, (stride, 4))

    def _bytes_of_view(self, number: int) -> bytes:
        view = self._content["bufferViews"][number]
        start, length = view.get("byteOffset", 0), view["byteLength"]
        uri = self._content["buffers"][view["buffer"]].get("uri") if "buffers" in self._content else None
        if uri is not None and uri.startswith("data:"):
            return _data_of(uri)[start : start + length]
        path = self._path if uri is None else self._path.parent / unquote(uri)
        with path.open("rb") as stream:
            stream.seek(start + (self._chunk if uri is None else 0))
            return stream.read(min(length, path.stat().st_size))


def _parsed(text: bytes) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")  # nor does Blender take it

    content = json.loads(text, parse_constant=refuse)
    if not isinstance(content, dict):
        raise ValueError("no object")
    return content


def _data_of(uri: str) -> bytes:
    return base64.b64decode(uri.partition(",")[2])
