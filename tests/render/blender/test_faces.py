"""Of faces in one place one stays, and every corner keeps the normal that its file gives it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from scipy.spatial import KDTree

pytestmark = pytest.mark.blender

DOUBLED = ["03797390/mug_doubled", "04379243/table_doubled", "03636649/lamp_doubled"]
VIEW = np.array([0.4, -0.3, 0.8, 0.5, 0.3, 1.0, 0.5])
TO_BLENDER = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # +Y of the file is up, which is +Z in Blender


@pytest.fixture(scope="module")
def load(bpy):
    """Loads a model as it is loaded for rendering; gives positions and normals by corner, and materials by face."""
    from render.blender.scene import Scene
    from render.settings import RenderSettings

    def loaded(path: Path, **settings):
        scene = Scene(RenderSettings(image_size=16, samples=1, denoiser="none", **settings))
        scene.load(path)
        (item,) = (item for item in bpy.data.objects if item.pass_index == 1)
        scene.close()
        return corners_of(item.data), [
            item.data.materials[face.material_index].name if item.data.materials else ""
            for face in item.data.polygons
        ]

    return loaded


@pytest.fixture(scope="module")
def picture(bpy):
    """The picture of a model, (64, 64, 3) float, with little noise."""
    from render.blender.scene import Scene
    from render.settings import RenderSettings

    def rendered(path: Path) -> np.ndarray:
        scene = Scene(RenderSettings(image_size=64, samples=32, denoiser="none"))
        scene.load(path)
        pixels = scene.render(VIEW).image.astype(float)
        scene.close()
        return pixels

    return rendered


def corners_of(mesh) -> list[tuple[np.ndarray, np.ndarray]]:
    """For each face its corners' positions and normals, (corners, 3) each; positions from the box's centre."""
    positions = np.array([vertex.co for vertex in mesh.vertices])
    positions -= (positions.min(axis=0) + positions.max(axis=0)) / 2
    normals = np.array([corner.vector for corner in mesh.corner_normals])
    return [(positions[list(face.vertices)], normals[list(face.loop_indices)]) for face in mesh.polygons]


def faces_of_file(path: Path) -> list[tuple[np.ndarray, np.ndarray]]:
    """The same by the OBJ file itself, in Blender's axes."""
    vertices, normals, faces = [], [], []
    for line in path.read_text().splitlines():
        word, *values = line.split()
        if word == "v":
            vertices.append(np.array(values, float))
        elif word == "vn":
            normals.append(np.array(values, float))
        elif word == "f":
            faces.append(np.array([value.split("//") for value in values], int) - 1)
    positions = np.array(vertices) @ TO_BLENDER.T
    positions -= (positions.min(axis=0) + positions.max(axis=0)) / 2
    directions = np.array(normals) @ TO_BLENDER.T
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return [(positions[face[:, 0]], directions[face[:, 1]]) for face in faces]


def by_place(faces, places: KDTree) -> dict[tuple[int, ...], list[np.ndarray]]:
    """The normals of the faces at each set of places, in the order of the places."""
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    for positions, normals in faces:
        distances, numbers = places.query(positions)
        assert distances.max() < 1e-5
        order = np.argsort(numbers)
        found.setdefault(tuple(numbers[order]), []).append(normals[order])
    return found


def places_of(faces) -> KDTree:
    return KDTree(np.unique(np.round(np.vstack([positions for positions, _ in faces]), 5), axis=0))


@pytest.mark.parametrize("name", DOUBLED)
def test_corner_normals_after_loading_agree_with_the_files_face_by_face(load, golden_data, name):
    path = golden_data / "models" / name / "models" / "model_normalized.obj"
    faces, _ = load(path)
    places = places_of(faces_of_file(path))
    given, kept = by_place(faces_of_file(path), places), by_place(faces, places)
    assert given.keys() == kept.keys()
    assert all(len(normals) == 1 for normals in kept.values()) and max(map(len, given.values())) == 2
    for place, (normals,) in kept.items():
        assert max((normals * file).sum(axis=1).min() for file in given[place]) > 0.9999


def test_all_faces_stay_with_their_normals_where_they_are_to_be_kept(load, golden_data):
    path = golden_data / "models" / DOUBLED[0] / "models" / "model_normalized.obj"
    places = places_of(faces_of_file(path))
    given = by_place(faces_of_file(path), places)
    kept = by_place(load(path, coincident_faces="keep")[0], places)
    assert {place: len(normals) for place, normals in given.items()} == {
        place: len(normals) for place, normals in kept.items()
    }
    for place, several in kept.items():
        for normals in several:
            assert max((normals * file).sum(axis=1).min() for file in given[place]) > 0.9999


def sphere_lines(twins: bool, normals: str = "opposite", sizes: tuple[int, ...] = (320,)) -> list[str]:
    """OBJ lines of a sphere in as many objects as there are sizes, each face followed by its twin if asked."""
    ball = trimesh.creation.icosphere(2, 0.4)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in ball.vertices] + ["vt 0 0", "vt 1 0", "vt 0 1"]
    lines += [f"vn {s * x:.5g} {s * y:.5g} {s * z:.5g}" for s in (1e-3, -1e-3) for x, y, z in ball.vertices]
    starts = np.cumsum([0, *sizes])
    for number, face in enumerate(ball.faces + 1):
        if number in starts:
            lines.append(f"o part{number}")
        corners = [(vertex, texture) for texture, vertex in enumerate(face, 1)]
        for order, shift in ((corners, 0), (corners[::-1], len(ball.vertices)))[: 1 + twins]:
            ends = [f"{v}/{t}" + (f"/{v + shift}" if normals == "opposite" else "") for v, t in order]
            lines.append("f " + " ".join(ends))
    return lines


MATERIALS = {
    "plain": "newmtl m\nKd 0.8 0.3 0.2\n",
    "textured": "newmtl m\nKd 1 1 1\nmap_Kd my textures\\wood grain.png\n",
    "half transparent": "newmtl m\nKd 0.8 0.3 0.2\nd 0.5\n",
    "cut out": "newmtl m\nKd 1 1 1\nmap_Kd my textures\\wood grain.png\nmap_d mask.png\n",
}


def written(folder: Path, lines: list[str], material: str = MATERIALS["plain"]) -> Path:
    (folder / "my textures").mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(folder / "my textures" / "wood grain.png")
    Image.new("L", (8, 8), 128).save(folder / "mask.png")
    (folder / "m.mtl").write_text(material)
    path = folder / "m.obj"
    path.write_text("\n".join(["mtllib m.mtl", "usemtl m", *lines]) + "\n")
    return path


def require_same_picture(picture, clean: Path, doubled: Path) -> None:
    """Noise differs by the order of faces; a black triangle is a hundred levels off."""
    difference = np.abs(picture(clean) - picture(doubled))
    assert np.percentile(difference, 99.5) < 12 and difference.mean() < 1


@pytest.mark.parametrize("kind", MATERIALS)
def test_a_doubled_model_looks_like_the_same_model_with_one_of_each(picture, tmp_path, kind):
    clean, doubled = (
        written(tmp_path / str(twins), sphere_lines(twins), MATERIALS[kind]) for twins in (False, True)
    )
    require_same_picture(picture, clean, doubled)


@pytest.mark.parametrize(("normals", "sizes"), [("none", (320,)), ("opposite", (100, 220))])
def test_so_it_is_without_normals_and_in_several_objects(picture, tmp_path, normals, sizes):
    clean, doubled = (
        written(tmp_path / str(twins), sphere_lines(twins, normals, sizes)) for twins in (False, True)
    )
    require_same_picture(picture, clean, doubled)


@pytest.mark.parametrize("suffix", ["glb", "ply", "stl", "off"])
def test_so_it_is_in_formats_that_repeat_a_vertex_for_each_normal(picture, load, tmp_path, suffix):
    ball = trimesh.creation.icosphere(2, 0.4)
    clean = trimesh.Trimesh(ball.vertices, ball.faces, vertex_normals=ball.vertices / 0.4, process=False)
    doubled = trimesh.Trimesh(
        np.vstack([ball.vertices] * 2),
        np.vstack([ball.faces, ball.faces[:, ::-1] + len(ball.vertices)]),
        vertex_normals=np.vstack([ball.vertices, -ball.vertices]) / 0.4,
        process=False,
    )
    paths = [tmp_path / f"{name}.{suffix}" for name in ("clean", "doubled")]
    named = {"glb": {"include_normals": True}, "ply": {"vertex_normal": True}}.get(suffix, {})
    for mesh, path in zip((clean, doubled), paths, strict=True):
        mesh.export(path, **named)
    require_same_picture(picture, *paths)
    assert len(load(paths[1])[0]) == 320


def test_of_twins_with_different_materials_blenders_validation_says_which_stays(load, bpy, tmp_path):
    generator = np.random.default_rng(0)
    ball = trimesh.creation.icosphere(1, 0.4)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in ball.vertices] + ["vn 0 0.001 0"]
    for face in ball.faces + 1:
        for material in generator.permutation(3)[: generator.integers(2, 4)]:
            corners = generator.permutation(face)
            lines += [f"usemtl m{material}", "f " + " ".join(f"{corner}//1" for corner in corners)]
    path = written(tmp_path / "mixed", lines, "".join(f"newmtl m{number}\nKd 1 1 1\n" for number in range(3)))
    faces, materials = load(path)
    bpy.ops.wm.read_factory_settings(use_empty=True)
    bpy.ops.wm.obj_import(filepath=str(path), forward_axis="NEGATIVE_Z", up_axis="Y", validate_meshes=True)
    (item,) = bpy.data.objects
    bpy.context.view_layer.objects.active = item
    item.select_set(True)
    bpy.ops.object.transform_apply()
    names = [item.data.materials[face.material_index].name for face in item.data.polygons]

    places = places_of(faces)

    def chosen(faces, names):
        numbers = (tuple(sorted(places.query(positions)[1])) for positions, _ in faces)
        return dict(zip(numbers, names, strict=True))

    assert chosen(faces, materials) == chosen(corners_of(item.data), names)
    assert len(faces) == len(ball.faces) and len(set(materials)) == 3


def test_what_only_real_files_have_is_loaded_with_the_normals_of_the_file(load, tmp_path):
    """Groups, vertices nobody uses, faces that are a line or a point, n-gons; normals against the winding."""
    ball = trimesh.creation.icosphere(1, 0.4)
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in ball.vertices] + [
        "v 0 0.6 0",
        "v 0 0.1 0",
        "v 0 0.2 0",
    ]
    lines += [f"vn {-x:.5g} {-y:.5g} {-z:.5g}" for x, y, z in ball.vertices]
    first, second = len(ball.vertices) + 2, len(ball.vertices) + 3  # of the three, one is unused
    for number, face in enumerate(ball.faces + 1):
        lines += [f"g part{number // 20}", f"usemtl m{number // 20}"]
        lines += ["f " + " ".join(f"{v}//{v}" for v in corners) for corners in (face, face[::-1])]
    lines += ["f 1//1 1//1 2//2", f"f {first}//1 {second}//1 {first}//1", "f 1//1 2//2"]
    path = written(tmp_path / "real", lines, "".join(f"newmtl m{number}\nKd 1 1 1\n" for number in range(4)))
    faces, materials = load(path)
    assert len(set(materials)) == 4
    sound = [(at, normals) for at, normals in faces if np.linalg.norm(np.cross(*(at[1:] - at[0]))) > 1e-6]
    assert len(sound) == len(ball.faces)
    for positions, normals in sound:
        assert (normals * -positions / 0.4).sum(axis=1).min() > 0.9999


def test_a_view_is_the_same_with_and_without_the_second_user_of_its_mesh(bpy, golden_data, monkeypatch):
    from render.blender import models
    from render.blender.scene import Scene
    from render.settings import RenderSettings

    monkeypatch.setattr(models, "LARGE_MESH", 2000)
    scene = Scene(RenderSettings(image_size=64, samples=4, denoiser="none", passes=("mask",)))
    scene.load(golden_data / "models" / DOUBLED[0] / "models" / "model_normalized.obj")
    shared = scene.render(VIEW)
    (item,) = (item for item in bpy.data.objects if item.pass_index == 1)
    assert item.data.users == 2
    (second,) = (other for other in bpy.data.objects if other.data == item.data and other != item)
    bpy.data.objects.remove(second)
    alone = scene.render(VIEW)
    scene.close()
    assert np.array_equal(shared.mask, alone.mask)
    assert np.abs(shared.image.astype(int) - alone.image).max() <= 2


CHOICE = """
import os, sys
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[1])])
from render.threads import few_cores
with few_cores(1):  # as a render process imports Blender
    import bpy
import numpy as np
from render.blender.faces import mend_faces

corner = (np.arange(100)[:, None] * 101 + np.arange(100)).ravel()
faces = np.concatenate([corner[:, None] + [0, 1, 102], corner[:, None] + [0, 102, 101]])
faces = np.random.default_rng(0).permutation(101**2)[faces]
twins = np.stack([faces, faces[:, ::-1]], axis=1).reshape(-1).astype("i4")
mesh = bpy.data.meshes.new("doubled")
mesh.vertices.add(101**2)
mesh.vertices.foreach_set("co", np.random.default_rng(0).random(3 * 101**2, dtype="f4"))
mesh.loops.add(len(twins))
mesh.loops.foreach_set("vertex_index", twins)
mesh.polygons.add(len(twins) // 3)
mesh.polygons.foreach_set("loop_start", np.arange(0, len(twins), 3, dtype="i4"))
mesh.polygons.foreach_set("material_index", np.arange(len(twins) // 3, dtype="i4") % 2)
mesh.update(calc_edges=True)
mend_faces([mesh], drop=True, by_position=False)
print("kept", "".join(str(face.material_index) for face in mesh.polygons))
"""


def test_render_processes_keep_the_same_twins_on_any_number_of_cores():
    """Of 20,000 pairs, where Blender's validation chooses anew in each run if it has several cores."""
    started = [
        subprocess.Popen([sys.executable, "-c", CHOICE, cores], stdout=subprocess.PIPE, text=True)
        for cores in ("1", "64", "64")
    ]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    kept = {line.split()[1] for output in outputs for line in output.splitlines() if line.startswith("kept ")}
    assert len(kept) == 1 and all(process.returncode == 0 for process in started)
    (materials,) = kept
    assert len(materials) == 20_000 and 5_000 < materials.count("1") < 15_000
