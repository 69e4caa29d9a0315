"""Checks a model file before it is given to an importer, for the renderer and the check of models."""

import errno
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np

from render.model_errors import ModelError, SourceUnavailable, unreadable
from render.settings import LARGEST_EXTENT, LARGEST_RESCALED_EXTENT
from render.sources.gltf import Gltf
from render.sources.regular import require_regular
from render.sources.textures import (
    MaterialFiles,
    images_of_gltf,
    images_of_materials,
    material_files,
    require_bounded_textures,
)

if TYPE_CHECKING:
    import trimesh

NO_FACES = "it holds no faces"
NOT_FINITE = "it holds coordinates that are not finite"

_LARGE_OBJ = re.compile(
    rb"^[ \t]*v[ \t][^\n#]*(?<![\w.])[-+]?(?:nan|inf(?:inity)?|\d{30,}\.?\d*|[\d.]+e\+?0*(?:[3-9]\d|[1-9]\d{2,}))\b[^\n#]*",
    re.IGNORECASE | re.MULTILINE,
)
"""Vertex lines of an OBJ file with a number that is NaN, infinite, or may be too large for single precision."""
_FAULTS_OF_A_FILE = frozenset(
    {
        errno.ENOENT,
        errno.EISDIR,
        errno.ENOTDIR,
        errno.ENAMETOOLONG,
        errno.ELOOP,
        errno.EACCES,
        errno.EPERM,
        errno.EINVAL,
        errno.ENXIO,
        errno.ESPIPE,
    }
)
"""Error numbers that one bad file can cause; all others come from the file system, the network or this machine."""


@dataclass(frozen=True)
class ModelFacts:
    """Facts that the check of a model file finds and its importer needs.

    Attributes:
        mesh: The geometry of an OFF file, which Blender has no importer for.
        materials: The material files of an OBJ file.
    """

    mesh: "trimesh.Trimesh | None" = None
    materials: MaterialFiles | None = None


def require_sound(path: Path) -> ModelFacts:
    """Checks a model file for defects that an importer would accept silently or hang on.

    Blender takes a coordinate that is not finite for zero, and would render a model that is not there.

    Raises:
        ModelError: The file cannot be read, holds such coordinates, has textures that are too large, or refers to
            something that is no regular file.
    """
    require_regular(path)
    try:
        return _facts(path)
    except OSError as error:
        raise_by_fault(error, path)


def raise_by_fault(error: OSError, path: Path) -> NoReturn:
    """Raises a ``ModelError`` if the file is to blame for a reading error, and else ``SourceUnavailable``."""
    if error.errno not in _FAULTS_OF_A_FILE:
        raise SourceUnavailable.by(error) from None
    if error.errno == errno.ENOENT:
        raise ModelError(f"there is no {error.filename or path}") from None
    raise ModelError(f"it cannot be read ({error.strerror})") from None


def require_source(folder: Path | None) -> None:
    """Raises ``SourceUnavailable`` if the folder of all models is gone or empty, as after an unmount."""
    if folder is None:
        return
    try:
        if any(folder.iterdir()):
            return
    except OSError as error:
        raise SourceUnavailable.by(error) from None
    raise SourceUnavailable(f"{folder} is empty")


def require_extent(extent: float, rescaled: bool) -> None:
    """Raises a ``ModelError`` if a model's longest side is too large, or is 0 although the model is to be scaled."""
    largest = LARGEST_RESCALED_EXTENT if rescaled else LARGEST_EXTENT
    if extent > largest:
        raise ModelError(f"it is {extent:.3g} m large; at most {largest:g} m can be rendered")
    if rescaled and extent <= 0:
        raise ModelError("all its vertices are in one place")


def require_finite(vertices: np.ndarray) -> None:
    """Raises a ``ModelError`` unless all coordinates are finite in single precision, which is Blender's."""
    with np.errstate(over="ignore"):
        finite = np.isfinite(np.asarray(vertices).astype(np.float32)).all()
    if not finite:
        raise ModelError(NOT_FINITE)


def _number(word: bytes) -> float:
    try:
        return float(word)
    except ValueError:  # Blender passes over what is no number
        return 0.0


def _facts(path: Path) -> ModelFacts:
    suffix = path.suffix.lower()
    if suffix == ".obj":
        text = path.read_bytes()
        for line in _LARGE_OBJ.finditer(text):
            require_finite(np.array([_number(word) for word in line[0].split()[1:4]]))
        materials = material_files(path, text)
        require_bounded_textures(images_of_materials(materials.found))
        return ModelFacts(materials=materials)
    if suffix in (".glb", ".gltf"):
        gltf = Gltf(path)
        gltf.require_supported()
        for positions in gltf.positions():
            require_finite(positions)
        require_bounded_textures(images_of_gltf(gltf, path))
    if suffix in (".ply", ".stl", ".off"):
        mesh = _read_plain(path)
        if not len(getattr(mesh, "faces", ())):  # a cloud of points has none
            raise ModelError(NO_FACES)
        require_finite(mesh.vertices)
        return ModelFacts(mesh=mesh if suffix == ".off" else None)
    return ModelFacts()


def _read_plain(path: Path) -> "trimesh.Trimesh":
    """The geometry of a .ply, .stl or .off file as it stands there; of what it refers to, nothing is opened."""
    import trimesh

    try:
        with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
            return trimesh.load_mesh(path, process=False, skip_materials=True)
    except OSError:
        raise
    except Exception as error:  # trimesh raises whatever its parser stumbles over
        raise unreadable(path) from error
