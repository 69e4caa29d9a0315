"""What only real files have is loaded: very many faces, n-gons, normals that are none, vertices nobody uses."""

from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.blender

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"

VIEW = np.array([0.4, -0.3, 0.8, 0.5, 0.3, 1.0, 0.5])


@pytest.fixture(scope="module")
def scene(bpy):
    from render.blender.scene import Scene
    from render.settings import RenderSettings

    scene = Scene(RenderSettings(image_size=32, samples=4, denoiser="none", passes=("mask", "normal")))
    yield scene
    scene.close()


@pytest.fixture
def load(scene, bpy, tmp_path):
    """Writes lines as an OBJ file, and gives the mesh that is loaded from them."""

    def loaded(lines):
        path = tmp_path / "m.obj"
        path.write_text("\n".join(lines) + "\n")
        assert scene.load(path).notes == ()
        (item,) = (item for item in bpy.data.objects if item.pass_index == 1)
        return item.data

    return loaded


def corner_normals(mesh):
    values = np.empty((len(mesh.loops), 3), np.float32)
    mesh.corner_normals.foreach_get("vector", values.reshape(-1))
    return values


def test_half_a_million_faces_are_loaded_with_their_normals_and_rendered(scene, load, monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from large_meshes import sheet_lines

    mesh = load(sheet_lines(354))
    assert len(mesh.polygons) == 2 * 354**2 == 250_632
    normals = corner_normals(mesh)
    facing = np.empty((len(mesh.polygons), 3), np.float32)
    mesh.polygon_normals.foreach_get("vector", facing.reshape(-1))
    assert (normals.reshape(-1, 3, 3) * facing[:, None]).sum(axis=2).min() > 0.99
    frame = scene.render(VIEW)
    assert frame.mask.mean() > 0.02 and frame.image[frame.mask].mean() > 40


def prism_lines(sides: int) -> list[str]:
    """A prism whose two ends are n-gons, with flat normals, and a star (not convex) above it."""
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    lines = [f"v {np.cos(a):.6f} {y} {np.sin(a):.6f}" for y in (0, 1) for a in angles]
    radii = np.where(np.arange(sides) % 2, 0.3, 1.0)
    lines += [f"v {r * np.cos(a):.6f} 2 {r * np.sin(a):.6f}" for r, a in zip(radii, angles, strict=True)]
    lines += ["vn 0 -1 0", "vn 0 1 0"]
    ring = np.arange(1, sides + 1)
    lines.append("f " + " ".join(f"{v}//1" for v in ring))
    lines.append("f " + " ".join(f"{v}//2" for v in ring[::-1] + sides))
    lines.append("f " + " ".join(f"{v}//2" for v in ring[::-1] + 2 * sides))
    return lines


def test_faces_of_any_number_of_corners_keep_them_and_their_normals(load):
    mesh = load(prism_lines(12))
    assert [len(face.vertices) for face in mesh.polygons] == [12, 12, 12]
    normals = corner_normals(mesh).reshape(3, 12, 3)
    assert np.allclose(normals, np.array([[[0, 0, -1]], [[0, 0, 1]], [[0, 0, 1]]]), atol=1e-3)
    area = 12 / 2 * np.sin(2 * np.pi / 12)
    assert [face.area for face in mesh.polygons][:2] == pytest.approx([area, area], rel=1e-4)
    assert mesh.polygons[2].area == pytest.approx(0.3 * area, rel=1e-4)


def test_an_n_gon_and_its_twin_become_one(load):
    lines = prism_lines(12)
    twins = ["f " + " ".join(reversed(line.split()[1:])) for line in lines if line.startswith("f ")]
    assert len(load(lines + twins).polygons) == 3


TENT = [  # two triangles that share an edge, and a vertex far away that none uses
    *("v 0 0 0", "v 1 0 0", "v 0 0 1", "v 1 0.5 1", "v 0.5 9 0.5"),
    *("vn 0 0 0", "vn 0 1 0", "vn 0 -1 0"),
]


def test_vertices_that_no_face_uses_are_left_out(load):
    """As in Blender 4.2, so the bounding box that is centered is that of the faces."""
    mesh = load([*TENT, "f 1//2 3//2 2//2"])
    assert len(mesh.vertices) == 3 and len(mesh.polygons) == 1
    assert np.ptp([vertex.co.z for vertex in mesh.vertices]) < 1e-6


def test_normals_of_length_zero_become_normals_of_the_surface(load):
    mesh = load([*TENT, "f 1//1 3//1 2//1", "f 2//1 3//1 4//1"])
    normals = corner_normals(mesh)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)
    for face in mesh.polygons:
        assert (normals[list(face.loop_indices)] @ np.array(face.normal)).min() > 0.9


def test_normals_against_the_winding_stay_as_the_file_has_them(load):
    mesh = load([*TENT, "f 1//3 3//3 2//3", "f 2//3 3//3 4//3"])
    assert np.allclose(corner_normals(mesh), [0, 0, -1], atol=1e-3)
    assert all(face.normal.z > 0.5 for face in mesh.polygons)


def test_faces_that_are_a_line_or_a_point_are_left_out_or_harm_nothing(scene, load):
    flat = ["f 1//2 1//2 2//2", "f 1//2 2//2", "f 3//2 3//2 3//2"]
    line = ["v 0 0 2", "f 1//2 3//2 6//2"]  # three places on a line
    mesh = load([*TENT, "f 1//2 3//2 2//2", *flat, *line])
    assert sum(face.area > 0 for face in mesh.polygons) == 1
    assert np.isfinite(corner_normals(mesh)).all()
    assert np.isfinite(scene.render(VIEW).normal).all()


def test_groups_with_a_material_each_become_one_object_with_all_materials(load, tmp_path):
    """As assimp writes ShapeNetCore: `g` and `usemtl` before each part, a name that comes back."""
    (tmp_path / "m.mtl").write_text("".join(f"newmtl m{number}\nKd 1 1 1\n" for number in range(3)))
    faces = ["f 1//2 3//2 2//2", "f 2//2 3//2 4//2", "f 1//2 4//2 2//2", "f 1//2 3//2 4//2"]
    parts = [(f"g part{number}", f"usemtl m{number % 3}", face) for number, face in enumerate(faces)]
    mesh = load(["mtllib m.mtl", *TENT, *(line for part in parts for line in part)])
    names = [mesh.materials[face.material_index].name for face in mesh.polygons]
    assert names == ["m0", "m1", "m2", "m0"]
