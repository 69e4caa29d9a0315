"""Removes duplicate faces on the same vertices, and keeps the corner normals that the model file gives.

ShapeNetCore v2 holds every face twice, in both windings, which would shadow each other in fine grain. Blender's
validation keeps one of each set, but Blender 4.5 has two defects there (``docs/rendering.md`` has the smallest file):

- Validation leaves the normals of the other faces in a code that was relative to the removed ones.
  So the normals are read before, travel with their corners as plain vectors, and are set again afterwards.
- Cycles keeps one normal for each vertex, also where corners of different normals share one.
  So a vertex is repeated for each normal that it has, and normals belong to vertices.
"""

from collections.abc import Iterable

import bpy
import numpy as np

_CARRIED_NORMAL = "iebench_normal"
_CARRIED_VERTEX = "iebench_vertex"
_NORMAL = "custom_normal"  # Blender's own name; as vectors on vertices it is what Cycles reads
_SHARP = ("sharp_face", "sharp_edge")
_STEPS = 12
"""Bits for each component of a normal: two normals of a vertex are one if they are within 0.05 degrees."""


def mend_faces(meshes: "Iterable[bpy.types.Mesh]", drop: bool, by_position: bool) -> None:
    """Keeps one face of each set on the same vertices, and gives vertices the normals that Cycles shades with.

    Normals that a file does not give are left to Blender, which computes them from the faces that stay.

    Args:
        meshes: Meshes of one model as imported, not validated; changed in place.
        drop: Whether all but one face of each set are removed.
        by_position: Whether vertices at the same position count as the same. glTF and PLY need it, since they repeat a
            vertex for each normal; OBJ does not, and its published loader compares numbers of vertices.
    """
    meshes = list(meshes)
    given = [mesh.has_custom_normals for mesh in meshes]
    for mesh, has_normals in zip(meshes, given, strict=True):
        normals = _corner_normals(mesh) if has_normals else None
        if drop:
            normals = _drop_coincident(mesh, normals, by_position)
        if any(given):  # meshes with and without normals are joined later
            _set_normals(mesh, _corner_normals(mesh) if normals is None else normals)


def _drop_coincident(
    mesh: "bpy.types.Mesh", normals: np.ndarray | None, by_position: bool
) -> np.ndarray | None:
    """Has Blender's validation choose the faces that stay; returns the normals of their corners."""
    if normals is not None:
        _carry(mesh, _CARRIED_NORMAL, "FLOAT_VECTOR", "vector", normals)
    merged = by_position and _merge_vertices(mesh)
    mesh.validate(clean_customdata=False)
    if merged:
        mesh.loops.foreach_set("vertex_index", _taken(mesh, _CARRIED_VERTEX, "value", np.int32))
        mesh.update(calc_edges=True)
    return None if normals is None else _taken(mesh, _CARRIED_NORMAL, "vector", np.float32, 3)


def _merge_vertices(mesh: "bpy.types.Mesh") -> bool:
    """Lets corners at one position share a vertex, if any two faces then coincide; each carries its own along."""
    own = read_field(mesh.loops, "vertex_index", np.int32)
    vertices = _first_at_same_position(mesh)[own]
    if not _any_coincide(vertices, read_field(mesh.polygons, "loop_start", np.int32)):
        return False
    _carry(mesh, _CARRIED_VERTEX, "INT", "value", own)
    mesh.loops.foreach_set("vertex_index", vertices)
    mesh.update(calc_edges=True)
    return True


def _first_at_same_position(mesh: "bpy.types.Mesh") -> np.ndarray:
    """The first vertex at the position of each vertex, and of its color where vertices have one: (vertices,) int32."""
    columns = [read_field(mesh.vertices, "co", np.float32, 3), *map(_colors, _vertex_colors(mesh))]
    rows = np.ascontiguousarray(np.hstack(columns) + np.float32(0))  # which makes -0 equal to 0
    _, first, inverse = np.unique(
        rows.view(f"V{rows.itemsize * rows.shape[1]}").ravel(), return_index=True, return_inverse=True
    )
    return first[inverse.ravel()].astype(np.int32)


def _any_coincide(vertices: np.ndarray, starts: np.ndarray) -> bool:
    """Whether two faces may have the same vertices, by sums of a random number for each vertex.

    With 64 bits, faces that differ have equal sums once in 10^7 meshes of a million faces.
    """
    numbers = np.random.default_rng(0).integers(0, 2**64, vertices.max() + 1, np.uint64, endpoint=False)
    sums = np.sort(np.add.reduceat(numbers[vertices], starts))
    return bool((sums[1:] == sums[:-1]).any())


def _set_normals(mesh: "bpy.types.Mesh", normals: np.ndarray) -> None:
    """Repeats each vertex for each normal that its corners have, and gives vertices these normals.

    A vertex of three corners, of which the last is the twin of the first:

        corner   vertex   normal        corner   vertex   normal
        0        7        (0, 0, 1)     0        7        (0, 0, 1)
        1        7        (0, 0, 1)     1        7
        2        7        (0, 0, -1)    2        9        (0, 0, -1)     the first number that was free
    """
    count = len(mesh.vertices)
    steps = np.rint((np.clip(normals, -1, 1) + 1) * (2 ** (_STEPS - 1) - 0.5)).astype(np.int64)
    keys = read_field(mesh.loops, "vertex_index", np.int32).astype(np.int64)
    for component in steps.T:
        keys = (keys << _STEPS) | component
    keys, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    vertices = keys >> (3 * _STEPS)
    repeated = np.concatenate([[False], vertices[1:] == vertices[:-1]])
    originals = vertices[repeated]
    vertices[repeated] = count + np.arange(len(originals))
    _repeat_vertices(mesh, originals)
    mesh.loops.foreach_set("vertex_index", vertices[inverse.ravel()].astype(np.int32))
    for name in (_NORMAL, *_SHARP):  # edges are sharp where two vertices are
        if name in mesh.attributes:
            mesh.attributes.remove(mesh.attributes[name])
    mesh.update(calc_edges=True)
    of_vertices = np.tile(np.array([0, 0, 1], np.float32), (len(mesh.vertices), 1))  # those that no face uses
    of_vertices[vertices] = normals[first]
    attribute = mesh.attributes.new(_NORMAL, "FLOAT_VECTOR", "POINT")
    attribute.data.foreach_set("vector", of_vertices.reshape(-1))
    mesh.update()


def _repeat_vertices(mesh: "bpy.types.Mesh", originals: np.ndarray) -> None:
    """Appends copies of vertices, with their colors."""
    positions = read_field(mesh.vertices, "co", np.float32, 3)
    colors = [_colors(item) for item in _vertex_colors(mesh)]
    mesh.vertices.add(len(originals))
    mesh.vertices.foreach_set("co", np.concatenate([positions, positions[originals]]).reshape(-1))
    for item, values in zip(_vertex_colors(mesh), colors, strict=True):
        item.data.foreach_set("color", np.concatenate([values, values[originals]]).reshape(-1))


def _vertex_colors(mesh: "bpy.types.Mesh") -> "list[bpy.types.Attribute]":
    return [item for item in mesh.color_attributes if item.domain == "POINT"]


def _colors(attribute: "bpy.types.Attribute") -> np.ndarray:
    return read_field(attribute.data, "color", np.float32, 4)


def _corner_normals(mesh: "bpy.types.Mesh") -> np.ndarray:
    return read_field(mesh.corner_normals, "vector", np.float32, 3)


def _carry(mesh: "bpy.types.Mesh", name: str, kind: str, field: str, values: np.ndarray) -> None:
    """Stores values as an attribute of a mesh's corners, which keeps them when faces are removed."""
    mesh.attributes.new(name, kind, "CORNER").data.foreach_set(field, values.reshape(-1))


def _taken(mesh: "bpy.types.Mesh", name: str, field: str, kind: type, *width: int) -> np.ndarray:
    """Returns the values that ``_carry`` stored, and removes their attribute."""
    attribute = mesh.attributes[name]
    values = read_field(attribute.data, field, kind, *width)
    mesh.attributes.remove(attribute)
    return values


def read_field(items: "bpy.types.bpy_prop_collection", name: str, kind: type, *width: int) -> np.ndarray:
    """Reads a field of all items of one of Blender's collections: an array (items, *width) of a kind."""
    values: np.ndarray = np.empty((len(items), *width), kind)
    items.foreach_get(name, values.reshape(-1))
    return values
