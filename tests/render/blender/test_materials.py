"""What a file leaves out of a model's surface is made up for without magenta."""

import colorsys
import json
from io import BytesIO

import numpy as np
import pytest
import trimesh
from PIL import Image

from models import TRIANGLE

pytestmark = pytest.mark.blender

VIEW = np.array([0.3, 0.2, 0.1, 0.5, 0.1, 0.0, 0.0])
TINY = "v 0 0 0\nv 0.01 0 0\nv 0 0 0.01\nf -3/1 -2/1 -1/1\n"


@pytest.fixture(scope="module")
def scene(bpy):
    from render.blender.scene import Scene
    from render.settings import RenderSettings

    scene = Scene(RenderSettings(image_size=16, samples=16, denoiser="none"))
    yield scene
    scene.close()


def hue_in_the_middle(scene):
    """Of the object, which fills the middle of the view; the spot shines red, the sun white."""
    color = scene.render(VIEW).image[6:10, 6:10].mean(axis=(0, 1)) / 255
    return colorsys.rgb_to_hsv(*color)[0]


def textured_box(folder, reference="wood.png"):
    path = folder / "models" / "m.obj"
    path.parent.mkdir(exist_ok=True)
    lines = [f"v {x} {y} {z}" for x, y, z in trimesh.creation.box().vertices] + ["vt 0.5 0.5"]
    lines += [f"f {a + 1}/1 {b + 1}/1 {c + 1}/1" for a, b, c in trimesh.creation.box().faces]
    path.write_text("mtllib m.mtl\nusemtl m\n" + "\n".join(lines) + "\n")
    path.with_name("m.mtl").write_text(f"newmtl m\nKd 0 0 1\nmap_Kd {reference}\n")
    return path


def is_near(hue, other):
    return abs((hue - other + 0.5) % 1 - 0.5) < 0.1


def test_a_missing_texture_leaves_the_materials_own_color_and_a_note(scene, tmp_path):
    loaded = scene.load(textured_box(tmp_path))
    assert loaded.notes == ("texture wood.png is missing",)
    assert is_near(hue_in_the_middle(scene), 2 / 3)


@pytest.mark.parametrize("reference", ["/home/me/wood.png", r"C:\My Textures\wood.png", "no/wood.png"])
@pytest.mark.parametrize("folder", ["models", "images"])
def test_a_texture_whose_path_is_of_another_machine_is_found_by_its_name(scene, tmp_path, reference, folder):
    path = textured_box(tmp_path, reference)
    (tmp_path / folder).mkdir(exist_ok=True)
    Image.new("RGB", (4, 4), (0, 255, 0)).save(tmp_path / folder / "wood.png")
    assert scene.load(path).notes == ()
    assert is_near(hue_in_the_middle(scene), 1 / 3)


def test_a_texture_that_is_no_image_counts_as_missing(scene, tmp_path):
    path = textured_box(tmp_path)
    path.with_name("wood.png").write_text("not found")
    assert scene.load(path).notes == ("texture wood.png is missing",)
    assert is_near(hue_in_the_middle(scene), 2 / 3)


def test_notes_are_no_log(scene, tmp_path):
    path = textured_box(tmp_path)
    materials = "".join(f"newmtl m{number}\nmap_Kd t{number}.png\n" for number in range(50))
    path.with_name("m.mtl").write_text(materials)
    path.write_text("mtllib m.mtl\n" + "".join(f"usemtl m{n}\n{TRIANGLE}" for n in range(50)))
    notes = scene.load(path).notes
    assert len(notes) == 21 and notes[-1] == "and 30 more are missing"


@pytest.mark.parametrize("suffix", ["obj", "ply", "glb"])
def test_vertex_colors_show(scene, tmp_path, suffix):
    mesh = trimesh.creation.box()
    mesh.visual.vertex_colors = np.tile(np.array([0, 255, 0, 255], np.uint8), (8, 1))
    path = tmp_path / f"m.{suffix}"
    mesh.export(path)
    scene.load(path, rescaled=True)
    assert is_near(hue_in_the_middle(scene), 1 / 3)


def test_a_texture_within_a_glb_shows(scene, tmp_path):
    mesh = trimesh.creation.box()
    image = Image.new("RGB", (4, 4), (0, 255, 0))
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=image, metallicFactor=0.0)
    mesh.visual = trimesh.visual.TextureVisuals(uv=np.full((8, 2), 0.5), material=material)
    mesh.export(tmp_path / "m.glb")
    assert scene.load(tmp_path / "m.glb", rescaled=True).notes == ()
    assert is_near(hue_in_the_middle(scene), 1 / 3)


def test_a_gltf_file_whose_texture_is_missing_is_rendered_with_a_note(scene, tmp_path):
    mesh = trimesh.creation.box()
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.new("RGB", (4, 4), (0, 255, 0)))
    mesh.visual = trimesh.visual.TextureVisuals(uv=np.full((8, 2), 0.5), material=material)
    files = trimesh.exchange.gltf.export_gltf(trimesh.Scene(mesh))
    content = json.loads(files["model.gltf"])
    content["images"] = [{"uri": "my%20wood.png"}]
    for name, data in {**files, "model.gltf": json.dumps(content).encode()}.items():
        (tmp_path / name).write_bytes(data)
    (note,) = scene.load(tmp_path / "model.gltf", rescaled=True).notes
    assert note == "texture my wood.png is missing"
    assert not is_near(hue_in_the_middle(scene), 5 / 6)  # magenta


def test_a_missing_material_file_is_noted_and_does_not_hide_vertex_colors(scene, tmp_path):
    path = textured_box(tmp_path)
    path.with_name("m.mtl").unlink()
    lines = path.read_text().replace("mtllib m.mtl", "mtllib C:\\maps\\gone.mtl").splitlines()
    path.write_text("\n".join(f"{line} 0 1 0" if line.startswith("v ") else line for line in lines))
    assert scene.load(path).notes == ("material file gone.mtl is missing",)
    assert is_near(hue_in_the_middle(scene), 1 / 3)


KINDS = {
    "spaced": "map_Kd my textures\\wood grain.png",
    "cut_out": "map_Kd my textures/wood grain.png\nmap_d mask.png",
    "mask_alone": "map_d mask.png",
    "emits": "Ke 1 0 0",
    "d": "d 0.25",
    "Tr": "Tr 0.25",
    "d_then_Tr": "d 0.25\nTr 0.75",
    "Tr_then_d": "Tr 0.75\nd 0.25",
    "shiny": "Ka 0.1 0.1 0.1\nKs 0.3 0.3 0.3\nNs 50",
}
"""What a material of an OBJ file says besides its color."""

TEXTURE = ("TEX_IMAGE.Color", "Base Color")
ALPHA_LINKS = {
    "cut_out": {TEXTURE, ("TEX_IMAGE.Color", "Color"), ("INVERT.Color", "Alpha")},
    "mask_alone": {("TEX_IMAGE.Alpha", "Alpha")},
    "spaced": {TEXTURE},
}
ALPHAS = {"d": 0.25, "d_then_Tr": 0.25, "Tr_then_d": 0.25}


@pytest.fixture(scope="module")
def materials(scene, bpy, tmp_path_factory):
    """The materials of KINDS as they are loaded from one file, by name."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "my textures").mkdir()
    Image.new("RGB", (4, 4), (0, 255, 0)).save(folder / "my textures" / "wood grain.png")
    Image.new("L", (4, 4), 64).save(folder / "mask.png")
    (folder / "m.mtl").write_text(
        "".join(f"newmtl {name}\nKd 0 0 1\n{rest}\n" for name, rest in KINDS.items())
    )
    parts = "".join(f"usemtl {name}\n{TRIANGLE}" for name in KINDS)
    (folder / "m.obj").write_text(f"mtllib m.mtl\n{parts}")
    assert scene.load(folder / "m.obj").notes == ()
    (item,) = (item for item in bpy.data.objects if item.pass_index == 1)
    return {material.name: material.node_tree for material in item.data.materials}


@pytest.mark.parametrize("kind", KINDS)
def test_a_material_is_built_as_the_published_loader_builds_it(materials, kind):
    """By BlenderProc 2.8.0's load_shapenet under Blender 4.2.0, which was run on the same file."""
    (surface,) = (node for node in materials[kind].nodes if node.type == "BSDF_PRINCIPLED")
    links = {
        (f"{link.from_node.type}.{link.from_socket.name}", link.to_socket.name)
        for link in materials[kind].links
        if link.to_socket.name != "Surface"
    }
    assert links == ALPHA_LINKS.get(kind, set())
    assert surface.inputs["Alpha"].default_value == pytest.approx(ALPHAS.get(kind, 1.0))
    assert surface.inputs["Emission Strength"].default_value == 0
    assert surface.inputs["Specular IOR Level"].default_value == pytest.approx(0.3 if kind == "shiny" else 0)
    assert surface.inputs["Roughness"].default_value == pytest.approx(
        0.7764 if kind == "shiny" else 1, abs=1e-4
    )


def test_twenty_textures_of_2048_pixels_are_loaded_and_shown(scene, bpy, tmp_path):
    """The box has the last of them; each other has a triangle inside."""
    path = textured_box(tmp_path)
    for shade, numbers in (((255, 0, 0), range(19)), ((0, 255, 0), [19])):
        file = BytesIO()
        Image.new("RGB", (2048, 2048), shade).save(file, "PNG", compress_level=1)
        for number in numbers:
            path.with_name(f"t{number}.png").write_bytes(file.getvalue())
    names = "".join(f"newmtl m{number}\nmap_Kd t{number}.png\n" for number in range(20))
    path.with_name("m.mtl").write_text(names)
    box = path.read_text().replace("usemtl m\n", "usemtl m19\n")
    points = "".join(f"usemtl m{number}\n{TINY}" for number in range(19))
    path.write_text(box + points)
    assert scene.load(path).notes == ()
    shown = [tuple(item.size) for item in bpy.data.images if item.name.startswith("t")]
    assert shown == [(2048, 2048)] * 20
    assert is_near(hue_in_the_middle(scene), 1 / 3)
