"""What a file leaves out of a model's surface is made up for without magenta."""

import colorsys
import json

import numpy as np
import pytest
import trimesh
from PIL import Image

from models import TRIANGLE

pytestmark = pytest.mark.blender

VIEW = np.array([0.3, 0.2, 0.1, 0.5, 0.1, 0.0, 0.0])


@pytest.fixture(scope="module")
def scene(bpy):
    from render.blender.scene import Scene
    from render.settings import RenderSettings

    scene = Scene(RenderSettings(image_size=16, samples=16, denoiser="none"))
    yield scene
    scene.close()


def hue_in_the_middle(scene):
    """Of the object, which fills the middle of the view; the spot shines red, the sun white."""
    colour = scene.render(VIEW).image[6:10, 6:10].mean(axis=(0, 1)) / 255
    return colorsys.rgb_to_hsv(*colour)[0]


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


def test_a_missing_texture_leaves_the_materials_own_colour_and_a_note(scene, tmp_path):
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
def test_vertex_colours_show(scene, tmp_path, suffix):
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


def test_a_missing_material_file_is_noted_and_does_not_hide_vertex_colours(scene, tmp_path):
    path = textured_box(tmp_path)
    path.with_name("m.mtl").unlink()
    lines = path.read_text().replace("mtllib m.mtl", "mtllib C:\\maps\\gone.mtl").splitlines()
    path.write_text("\n".join(f"{line} 0 1 0" if line.startswith("v ") else line for line in lines))
    assert scene.load(path).notes == ("material file gone.mtl is missing",)
    assert is_near(hue_in_the_middle(scene), 1 / 3)
