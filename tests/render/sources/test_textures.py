"""Textures that would take all memory are found before anything is decoded."""

import base64
import json
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from models import TRIANGLE, png_header
from render.model_errors import ModelError
from render.sources.soundness import require_sound
from render.sources.textures import find_texture


def obj_with(folder, *textures, options=""):
    path = folder / "m.obj"
    path.write_text(f"mtllib the materials.mtl\n{TRIANGLE}")
    lines = [f"newmtl m{number}\nmap_Kd {options}{name}\n" for number, (name, _) in enumerate(textures)]
    (folder / "the materials.mtl").write_text("".join(lines))
    for name, size in textures:
        (folder / name).write_bytes(png_header(*size))
    return path


@pytest.mark.parametrize("options", ["", "-s 1 1 1 -blendu on "])
def test_a_texture_of_30000_px_costs_its_object(tmp_path, options):
    path = obj_with(tmp_path, ("large wood.png", (30_000, 30_000)), options=options)
    reason = r"its texture large wood.png has 30,000 x 30,000 px; at most 16,384 a side can be rendered"
    with pytest.raises(ModelError, match=reason):
        require_sound(path)


def test_names_in_quotation_marks_are_understood_as_blender_does(tmp_path):
    obj_with(tmp_path, ("wood.png", (30_000, 30_000)))
    path = tmp_path / "quoted.obj"
    path.write_text(f'mtllib "the materials.mtl"\n{TRIANGLE}')
    (tmp_path / "the materials.mtl").write_text('newmtl m\nmap_Kd "maps\\wood.png"\n')
    (tmp_path / "maps").mkdir()
    (tmp_path / "wood.png").rename(tmp_path / "maps" / "wood.png")
    with pytest.raises(ModelError, match=r"its texture wood\.png has 30,000 x 30,000 px"):
        require_sound(path)


def test_many_large_textures_cost_their_object(tmp_path):
    path = obj_with(tmp_path, *((f"{number}.png", (16_000, 9_000)) for number in range(2)))
    with pytest.raises(ModelError, match="its textures have 288,000,000 px in all; at most 268,435,456"):
        require_sound(path)


def test_the_largest_texture_is_let_through_and_one_used_twice_counts_once(tmp_path):
    path = obj_with(tmp_path, *[("a.png", (16_384, 16_384))] * 2)
    require_sound(path)


@pytest.mark.parametrize("form", ["glb", "data", "file"])
def test_images_within_and_beside_gltf_files_are_looked_at_too(tmp_path, form):
    large = png_header(30_000, 20)
    uri = "data:image/png;base64," + base64.b64encode(large).decode() if form == "data" else "my%20wood.png"
    (tmp_path / "my wood.png").write_bytes(large)
    path = tmp_path / ("m.glb" if form == "glb" else "m.gltf")
    if form == "glb":
        path.write_bytes(glb_with(large))
    else:
        path.write_text(json.dumps({"asset": {"version": "2.0"}, "images": [{"uri": uri}]}))
    with pytest.raises(ModelError, match="has 30,000 x 20 px"):
        require_sound(path)


def glb_with(image):
    text = b'{"asset":{"version":"2.0"},"images":[{"bufferView":0}],"bufferViews":[{"buffer":0,"byteLength":%d}]}'
    text %= len(image)
    text += b" " * (-len(text) % 4)
    chunks = (
        struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(image), b"BIN\0") + image
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def test_images_that_trimesh_puts_into_a_glb_have_their_size_found(tmp_path):
    material = trimesh.visual.material.PBRMaterial(baseColorTexture=Image.new("RGB", (40, 8)))
    mesh = trimesh.creation.box()
    mesh.visual = trimesh.visual.TextureVisuals(uv=np.zeros((len(mesh.vertices), 2)), material=material)
    mesh.export(tmp_path / "m.glb")
    require_sound(tmp_path / "m.glb")


@pytest.mark.parametrize(
    "reference",
    [
        "wood.png",
        "/home/me/wood.png",
        r"C:\Users\me\wood.png",
        "..\\maps\\wood.png",
        '"wood.png"',
        "no/such/wood.png",
    ],
)
@pytest.mark.parametrize("folder", [".", "images", "../images", "textures"])
def test_a_texture_is_found_by_its_name_beside_the_model(tmp_path, reference, folder):
    model = tmp_path / "models" / "m.obj"
    place = model.parent / folder / "wood.png"
    place.parent.mkdir(parents=True, exist_ok=True)
    model.parent.mkdir(exist_ok=True)
    place.write_text("")
    assert find_texture(reference, model).samefile(place)


@pytest.mark.parametrize("reference", ["gone.png", "", "dir/", "a\0b", "x" * 5000])
def test_a_texture_that_is_not_there_is_none(tmp_path, reference):
    assert find_texture(reference, tmp_path / "m.obj") is None


@pytest.mark.parametrize(
    ("start", "kind"), [(b"\x76\x2f\x31\x01\x02\0\0\0", "an EXR"), (b"#?RADIANCE\n", "a Radiance HDR")]
)
def test_a_texture_whose_size_only_blender_knows_costs_its_object(tmp_path, start, kind):
    path = obj_with(tmp_path, ("sky.img", (1, 1)))
    (tmp_path / "sky.img").write_bytes(start)
    with pytest.raises(ModelError, match=f"its texture sky.img is {kind}, whose size is not known"):
        require_sound(path)
