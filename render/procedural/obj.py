"""Models as Wavefront files in ShapeNet's layout, with the same bytes on every run."""

import io
import shutil
from itertools import groupby
from pathlib import Path

import numpy as np
from PIL import Image as Picture

from render.procedural.meshes import Floats, Image, ProceduralModel, corner_normals

OBJ_NAME = "models/model_normalized.obj"
MTL_NAME = "models/model_normalized.mtl"

_DECIMALS = 6


def model_files(model: ProceduralModel) -> dict[str, bytes]:
    """The content of every file of a model's folder, by its path in the folder."""
    files = {OBJ_NAME: _obj(model).encode(), MTL_NAME: _mtl(model).encode()}
    for number, material in enumerate(model.materials):
        assert material.image is not None  # after baking
        files[f"images/texture{number}.png"] = _png(material.image)
    return files


def write_object(model: ProceduralModel, folder: Path) -> None:
    """Writes a model to its folder, `OUT/<synset>/<object_id>`: all of it or, when interrupted, nothing.

    A folder that already has the same content is left untouched; one that is incomplete is replaced.
    """
    files = model_files(model)
    paths = {folder / name: content for name, content in files.items()}
    if all(path.is_file() and path.read_bytes() == content for path, content in paths.items()):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    for name, content in files.items():
        target = partial / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    if folder.exists():
        shutil.rmtree(folder)
    partial.rename(folder)


def _png(image: Image) -> bytes:
    stream = io.BytesIO()
    Picture.fromarray(image).save(stream, format="PNG", compress_level=6)
    return stream.getvalue()


def _mtl(model: ProceduralModel) -> str:
    lines = [f"# {model.object_id}"]
    for number, material in enumerate(model.materials):
        lines += [
            f"\nnewmtl {material.name}",
            "illum 2",
            "Kd 1.0000 1.0000 1.0000",
            "Ka 0.0000 0.0000 0.0000",
            "Ks" + f" {material.specular:.4f}" * 3,
            "Ke 0.0000 0.0000 0.0000",
            f"Ns {material.shininess:.4f}",
            "d 1.0000",
            f"map_Kd ../images/texture{number}.png",
        ]
    return "\n".join(lines) + "\n"


def _obj(model: ProceduralModel) -> str:
    """One group for each material; positions, texture coordinates and normals are each listed once."""
    names = [material.name for material in model.materials]
    parts = sorted(model.parts, key=lambda part: names.index(part[1].name))
    positions, position_at = _listed([mesh.vertices[mesh.faces] for mesh, _ in parts])
    coordinates, coordinate_at = _listed([mesh.uv for mesh, _ in parts])
    normals, normal_at = _listed([corner_normals(mesh) for mesh, _ in parts], 4)
    corners = np.stack([position_at, coordinate_at, normal_at], axis=1) + 1
    text = [f"# {model.object_id}\nmtllib {Path(MTL_NAME).name}\n"]
    text += [_rows("v", positions, _DECIMALS), _rows("vt", coordinates, _DECIMALS), _rows("vn", normals, 4)]
    start = 0
    for name, group in groupby(parts, key=lambda part: part[1].name):
        count = sum(len(mesh.faces) for mesh, _ in group)
        rows = corners[start : start + 3 * count].reshape(-1)
        text.append(f"g {name}\nusemtl {name}\n")
        text.append("f %d/%d/%d %d/%d/%d %d/%d/%d\n" * count % tuple(rows.tolist()))
        start += 3 * count
    return "".join(text)


def _listed(values: list[Floats], decimals: int = _DECIMALS) -> tuple[Floats, np.ndarray]:
    """The distinct rows of the corners of all meshes after rounding, and for each corner its position among them."""
    rows = np.concatenate(values).reshape(-1, values[0].shape[-1])
    whole = np.round(rows * 10**decimals).astype(np.int64)
    distinct, row = np.unique(whole, axis=0, return_inverse=True)
    return distinct / 10**decimals, row.reshape(-1)


def _rows(keyword: str, values: Floats, decimals: int) -> str:
    row = keyword + f" %.{decimals}f" * values.shape[1] + "\n"
    return row * len(values) % tuple(values.reshape(-1).tolist())
