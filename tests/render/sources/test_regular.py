"""Whoever opens a pipe waits for its writer: pipes, sockets and devices are refused before anybody opens them."""

import json
import os
import socket
import struct

import pytest

from models import TRIANGLE
from render.model_errors import ModelError
from render.sources.soundness import require_sound

PLY = """ply
format ascii 1.0
comment TextureFile {texture}
element vertex 3
property float x
property float y
property float z
element face 1
property list uchar int vertex_indices
end_header
0 0 0
1 0 0
0 0 1
3 0 1 2
"""


@pytest.fixture(params=["pipe", "socket", "device"])
def special(request, tmp_path, monkeypatch):
    """Puts something that is no regular file at a path."""
    monkeypatch.chdir(tmp_path)  # names of sockets are short

    def put(name):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "device":
            path.symlink_to("/dev/zero")
        else:
            socket.socket(socket.AF_UNIX).bind(name)
        return path

    return put


@pytest.mark.parametrize("suffix", ["obj", "glb", "gltf", "ply", "stl", "off", "fbx"])
def test_a_model_that_is_no_regular_file_is_refused(special, suffix):
    with pytest.raises(ModelError, match=r"^it is no regular file$"):
        require_sound(special(f"m.{suffix}"))


@pytest.mark.parametrize("place", ["wood.png", "images/wood.png"])
@pytest.mark.parametrize("reference", ["wood.png", "-s 1 1 1 wood.png", "C:\\maps\\wood.png", '"wood.png"'])
def test_a_texture_of_an_obj_file_that_is_no_regular_file_is_refused(special, tmp_path, place, reference):
    special(place)
    (tmp_path / "m.obj").write_text(f"mtllib a.mtl\n{TRIANGLE}")
    (tmp_path / "a.mtl").write_text(f"newmtl a\nmap_Kd {reference}\n")
    with pytest.raises(ModelError, match=r"^it refers to .*wood\.png.*, which is no regular file$"):
        require_sound(tmp_path / "m.obj")


@pytest.mark.parametrize("name", ["a b.mtl", "m.mtl"])
def test_a_material_file_that_is_no_regular_file_is_refused(special, tmp_path, name):
    special(name)
    (tmp_path / "m.obj").write_text(f"mtllib a b.mtl\n{TRIANGLE}")
    with pytest.raises(ModelError, match=f"^it refers to {name}, which is no regular file$"):
        require_sound(tmp_path / "m.obj")


@pytest.mark.parametrize("kind", ["buffers", "images"])
@pytest.mark.parametrize("suffix", ["glb", "gltf"])
def test_a_buffer_or_an_image_of_a_gltf_file_that_is_no_regular_file_is_refused(
    special, tmp_path, kind, suffix
):
    special("a b.bin")
    text = json.dumps({"asset": {"version": "2.0"}, kind: [{"uri": "a%20b.bin", "byteLength": 36}]}).encode()
    header = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON")
    (tmp_path / f"m.{suffix}").write_bytes(header + text if suffix == "glb" else text)
    with pytest.raises(ModelError, match=r"^it refers to a%20b\.bin, which is no regular file$"):
        require_sound(tmp_path / f"m.{suffix}")


def test_a_texture_that_a_ply_file_names_is_not_opened_whatever_it_is(special, tmp_path):
    special("wood.png")
    (tmp_path / "m.ply").write_text(PLY.format(texture="wood.png"))
    require_sound(tmp_path / "m.ply")
