"""Each format comes in upright, whole, and alone."""

import builtins
import io
import json
import struct
from collections import Counter

import numpy as np
import pytest
import trimesh

from models import TRIANGLE
from render.catalog import scan_models
from render.model_errors import ModelError

pytestmark = pytest.mark.blender

FORMATS = ["obj", "glb", "gltf", "ply", "stl", "off"]
UP_IS_Y = {"obj", "glb", "gltf"}
VIEW = np.array([0.1, 0.2, 0.3, 0.5, 0.5, 1.0, 0.5])


@pytest.fixture(scope="module")
def scene(bpy):
    from render.blender.scene import Scene
    from render.settings import RenderSettings

    scene = Scene(RenderSettings(image_size=16, samples=1, denoiser="none"))
    yield scene
    scene.close()


def mesh_of(bpy):
    """The one mesh besides the floor, and its vertices."""
    (item,) = (item for item in bpy.context.scene.objects if item.pass_index == 1)
    vertices = np.empty(3 * len(item.data.vertices), np.float32)
    item.data.vertices.foreach_get("co", vertices)
    return item.data, vertices.reshape(-1, 3)


def written(mesh, folder, suffix):
    path = folder / f"a model.v2 é.{suffix}"
    if suffix == "gltf":
        for name, content in trimesh.exchange.gltf.export_gltf(trimesh.Scene(mesh)).items():
            (folder / name if name.endswith("bin") else path).write_bytes(content)
    else:
        mesh.export(path)
    return path


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_model_comes_in_upright_centered_and_with_a_unit_diagonal(scene, bpy, tmp_path, suffix):
    box = trimesh.creation.box((1, 2, 4)).apply_translation((10, 20, 30))
    loaded = scene.load(written(box, tmp_path, suffix), rescaled=True)
    data, vertices = mesh_of(bpy)
    size = np.array((1, 4, 2) if suffix in UP_IS_Y else (1, 2, 4))
    assert loaded.scale == pytest.approx(21**-0.5)
    assert np.allclose(np.ptp(vertices, axis=0), size / 21**0.5, atol=1e-5)
    assert np.allclose(vertices.min(axis=0), -vertices.max(axis=0), atol=1e-6)
    assert len(data.polygons) == 12
    assert scene.render(VIEW).image.shape == (16, 16, 3)


@pytest.mark.parametrize(("suffix", "times"), [("obj", 1), ("ply", 1), ("stl", 1), ("off", 1), ("gltf", 2)])
def test_a_model_file_is_read_once_besides_by_blenders_own_importer(
    scene, tmp_path, monkeypatch, suffix, times
):
    """Blender's importer of glTF is in Python, too; those of OBJ, PLY and STL are not, and OFF has none."""
    path, opened, open_file = written(trimesh.creation.box(), tmp_path, suffix), Counter(), open

    def counted(file, *arguments, **options):
        opened[str(file)] += 1
        return open_file(file, *arguments, **options)

    for module in (io, builtins):  # pathlib takes the one, all others the other
        monkeypatch.setattr(module, "open", counted)
    scene.load(path, rescaled=True)
    assert opened[str(path)] == times


def test_what_has_a_unit_diagonal_or_comes_from_shapenet_keeps_its_size(scene, bpy, tmp_path):
    nearly = trimesh.creation.box(np.array((1, 2, 4)) / 21**0.5 * 1.009)
    assert scene.load(written(nearly, tmp_path, "ply"), rescaled=True).scale is None
    path = written(trimesh.creation.box((1, 2, 4)), tmp_path, "obj")
    assert scene.load(path).scale is None
    assert np.allclose(np.ptp(mesh_of(bpy)[1], axis=0), (1, 4, 2))


def test_the_header_of_modelnet_with_its_counts_on_one_line_is_read(scene, bpy, tmp_path):
    path = tmp_path / "bed.off"
    path.write_text("OFF4 2 0\n0 0 0\n1 0 0\n1 1 0\n0 1 5\n3 0 1 2\n3 0 2 3\n")
    scene.load(path, rescaled=True)
    assert len(mesh_of(bpy)[0].polygons) == 2


@pytest.mark.parametrize(
    ("faces", "polygons"),
    [("f -4 -3 -2\nf -4 -2 -1\n", 2), ("f 1 2 3 4\n", 1), ("f 1//1 2//1 3//1\nf 1/ 3/ 4/\n", 2)],
)
def test_negative_indices_and_polygons_of_obj_files_are_understood(scene, bpy, tmp_path, faces, polygons):
    path = tmp_path / "m.obj"
    path.write_text(f"vn 0 0 1\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 1\n{faces}")
    scene.load(path)
    assert len(mesh_of(bpy)[0].polygons) == polygons


def nested_scene():
    """A box under a parent that is moved, turned and scaled, twice; a camera and a light."""
    scene = trimesh.Scene(camera=trimesh.scene.Camera(fov=(60, 60)))
    scene.graph.update(
        "parent", matrix=trimesh.transformations.compose_matrix(scale=(2, 2, 2), translate=(5, 0, 0))
    )
    box = trimesh.creation.box((1, 1, 1))
    scene.add_geometry(box, geom_name="box", node_name="one", parent_node_name="parent")
    lifted = trimesh.transformations.translation_matrix((0, 3, 0))
    scene.add_geometry(box, geom_name="box", node_name="two", parent_node_name="parent", transform=lifted)
    return scene


def test_parents_of_gltf_files_place_their_meshes_and_all_else_is_dropped(scene, bpy, tmp_path):
    path = tmp_path / "m.glb"
    nested_scene().export(path)
    fixtures = {item.name for item in bpy.data.objects} - {"floor"}
    scene.load(path)
    _, vertices = mesh_of(bpy)
    assert len(vertices) == 16
    assert np.allclose(
        np.ptp(vertices, axis=0), (2, 2, 8), atol=1e-5
    )  # +Y of the file is up, which is Z here
    assert {item.type for item in bpy.data.objects} == {"MESH", "CAMERA", "LIGHT"}
    assert len(bpy.data.cameras) == 1 and len(bpy.data.objects) <= len(fixtures) + 2


def posed_model(bpy, path):
    """A cube on a bone of a scaled armature that moves it up, and one with a morph; made by Blender itself."""
    import addon_utils

    addon_utils.enable("io_scene_gltf2")
    bpy.ops.object.select_all(action="DESELECT")
    bpy.ops.object.armature_add()
    armature = bpy.context.object
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.vertex_groups.new(name="Bone").add(range(8), 1.0, "REPLACE")
    cube.parent = armature
    cube.modifiers.new("armature", "ARMATURE").object = armature
    armature.scale = (3, 3, 3)
    for frame, height in ((1, 1), (20, 5)):
        armature.pose.bones[0].location = (0, height, 0)
        armature.pose.bones[0].keyframe_insert("location", frame=frame)
    bpy.ops.mesh.primitive_cube_add(location=(0, 0, 9))
    morphed = bpy.context.object
    morphed.shape_key_add(name="Basis")
    key = morphed.shape_key_add(name="longer")
    key.data[0].co.x -= 5
    key.value = 1
    for item in (armature, cube, morphed):
        item.select_set(True)
    bpy.ops.export_scene.gltf(filepath=str(path), use_selection=True)


def test_armatures_and_morphs_shape_their_meshes_as_in_the_first_frame(scene, bpy, tmp_path):
    scene.clear()
    posed_model(bpy, tmp_path / "m.glb")
    scene.load(tmp_path / "m.glb")
    assert np.allclose(np.ptp(mesh_of(bpy)[1], axis=0), (9, 6, 10), atol=1e-4)
    assert {item.type for item in bpy.data.objects} == {"MESH", "CAMERA", "LIGHT"}
    scene.clear()
    assert not (len(bpy.data.armatures) + len(bpy.data.actions) + len(bpy.data.shape_keys))


def test_of_several_scenes_in_a_gltf_file_the_default_one_is_taken(scene, bpy, tmp_path):
    pair = trimesh.Scene([trimesh.creation.box((1, 1, 1)), trimesh.creation.box((7, 7, 7))])
    files = trimesh.exchange.gltf.export_gltf(pair)
    content = json.loads(files["model.gltf"])
    leaves = [number for number, node in enumerate(content["nodes"]) if "mesh" in node]
    content.update(scenes=[{"nodes": leaves[1:]}, {"nodes": leaves[:1]}], scene=1)
    for name, data in {**files, "model.gltf": json.dumps(content).encode()}.items():
        (tmp_path / name).write_bytes(data)
    scene.load(tmp_path / "model.gltf")
    assert np.allclose(np.ptp(mesh_of(bpy)[1], axis=0), 1)


def test_nothing_piles_up_and_the_scene_stays_over_models_of_all_formats(scene, bpy, tmp_path, golden_data):
    blocks = [name for name in dir(bpy.data) if hasattr(getattr(bpy.data, name), "remove")]
    (golden, *_) = scan_models(golden_data / "models")
    paths = [written(trimesh.creation.box(), tmp_path, suffix) for suffix in FORMATS]
    nested_scene().export(tmp_path / "nested.glb")

    def state():
        settings = bpy.context.scene
        return (
            settings.name,
            settings.frame_current,
            settings.render.fps,
            {name: sorted(item.name for item in getattr(bpy.data, name)) for name in blocks},
        )

    scene.load(golden.path)
    before = scene.render(VIEW).image
    scene.clear()
    empty = state()
    for path in [*paths, tmp_path / "nested.glb"] * 2:
        scene.load(path, rescaled=True)
        scene.render(VIEW)
    scene.clear()
    assert state() == empty
    scene.load(golden.path)
    assert np.array_equal(scene.render(VIEW).image, before)


def broken(suffix, kind, folder):
    box = trimesh.creation.box((1, 2, 4))
    path = written(box, folder, suffix)
    if kind == "garbage":
        path.write_bytes(bytes(range(256)) * 20)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif suffix == "gltf":
        binary = next(folder.glob("*.bin"))
        binary.write_bytes(poisoned(binary.read_bytes(), box, kind))
    elif suffix == "glb":
        path.write_bytes(poisoned(path.read_bytes(), box, kind))
    else:
        vertices = box.vertices.copy()
        vertices[0] = {"nan": np.nan, "infinite": np.inf, "huge": 1e30}[kind]
        trimesh.Trimesh(vertices, box.faces, process=False, validate=False).export(path)
    return path


def poisoned(content, box, kind):
    """Replaces the first vertex among the bytes of a binary file."""
    value = {"nan": np.nan, "infinite": np.inf, "huge": 1e30}[kind]
    vertex = box.vertices[0].astype("<f4").tobytes()
    assert vertex in content
    return content.replace(vertex, struct.pack("<3f", value, 0, 0), 1)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["garbage", "empty", "cut", "nan", "infinite", "huge"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_broken_file_of_any_format_is_refused(scene, tmp_path, suffix, kind):
    path = broken(suffix, kind, tmp_path)
    with pytest.raises(ModelError) as raised:
        scene.load(path, rescaled=True)
    reason = {"nan": "not finite", "infinite": "not finite", "huge": "m large; at most 1e+08 m"}.get(
        kind, "it "
    )
    assert reason in str(raised.value)


def test_a_suffix_that_is_no_format_is_refused(scene, tmp_path):
    path = tmp_path / "m.fbx"
    path.write_text(TRIANGLE)
    with pytest.raises(ModelError, match=r"\.fbx is no format"):
        scene.load(path)


def test_a_coordinate_too_large_for_single_precision_is_refused(scene, tmp_path):
    for text in ("1e40", "-1.5E+0041", "1" + "0" * 40):
        path = tmp_path / "m.obj"
        path.write_text(f"{TRIANGLE}v {text} 0 0\nf 1 2 4\n")
        with pytest.raises(ModelError, match="not finite"):
            scene.load(path)


def test_a_million_faces_are_rendered(scene, bpy, tmp_path):
    side = 708
    row, column = np.meshgrid(np.arange(side), np.arange(side))
    vertices = np.stack([row.ravel(), column.ravel(), np.sin(row * column).ravel()], axis=1)
    corner = (row[:-1, :-1] + column[:-1, :-1] * side).ravel()
    faces = np.concatenate([corner[:, None] + (0, 1, side), corner[:, None] + (1, side + 1, side)])
    path = tmp_path / "m.ply"
    trimesh.Trimesh(vertices, faces, process=False).export(path)
    scene.load(path, rescaled=True)
    assert len(mesh_of(bpy)[0].polygons) == len(faces) == 2 * 707**2
    assert scene.render(VIEW).image.std() > 0
    scene.clear()
