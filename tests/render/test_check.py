"""What of a folder of models cannot be rendered: the check says what a render says, of every format."""

import json
import os
import re
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import trimesh

from commands import SMALL, call
from fake_workers import FakeEngine
from models import TRIANGLE, UNUSABLE, png_header, write_model
from processes import HeldFile
from render import check
from render.catalog import scan_models
from render.check import check_models
from render.model_errors import ModelError
from shards.reader import read_views
from shards.schema import open_dataset

DRACO = """
import sys, bpy, addon_utils
bpy.ops.wm.read_factory_settings(use_empty=True)
addon_utils.enable("io_scene_gltf2")
bpy.ops.mesh.primitive_monkey_add()
bpy.ops.export_scene.gltf(filepath=sys.argv[1], export_draco_mesh_compression_enable=True)
"""


def write_gltf(path: Path, **changes) -> None:
    """A triangle as glTF with a buffer of its own; ``changes`` replace parts of it."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [0, 0, 1]], "<f4").tobytes()
    buffer = path.with_suffix(".bin")
    if not buffer.exists():
        buffer.write_bytes(positions)
    content = {
        "asset": {"version": "2.0"},
        "buffers": [{"uri": buffer.name, "byteLength": len(positions)}],
        "bufferViews": [{"buffer": 0, "byteLength": len(positions)}],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": 5126,
                "count": 3,
                "type": "VEC3",
                "min": [0, 0, 0],
                "max": [1, 0, 1],
            }
        ],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}],
        "nodes": [{"mesh": 0}],
        "scenes": [{"nodes": [0]}],
    }
    path.write_text(json.dumps({**content, **changes}))


def needs(name):
    return {"extensionsUsed": [name], "extensionsRequired": [name]}


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Models of many kinds in class ``kinds``, and what is said of each as regular expressions."""
    folder = tmp_path_factory.mktemp("check") / "models"
    kinds = folder / "kinds"
    kinds.mkdir(parents=True)
    subprocess.run([sys.executable, "-c", DRACO, kinds / "draco.glb"], check=True, capture_output=True)
    assert b"KHR_draco_mesh_compression" in (kinds / "draco.glb").read_bytes()
    write_gltf(kinds / "plain.gltf")
    write_gltf(kinds / "meshopt.gltf", **needs("EXT_meshopt_compression"))
    write_gltf(kinds / "ktx2.gltf", **needs("KHR_texture_basisu"))
    write_gltf(kinds / "long.gltf", bufferViews=[{"buffer": 0, "byteLength": 10**12}])
    write_gltf(kinds / "outside.gltf", buffers=[{"uri": "/dev/zero", "byteLength": 36}])
    os.mkfifo(kinds / "pipe.bin")
    write_gltf(kinds / "pipe.gltf")
    os.mkfifo(kinds / "itself.off")
    (kinds / "painted.obj").write_text(f"mtllib painted.mtl\nusemtl m\n{TRIANGLE}")
    (kinds / "painted.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd wood.png\n")
    os.mkfifo(kinds / "wood.png")
    (kinds / "large.obj").write_text("v 3.41e38 0 0\nv 1 0 0\nv 0 0 1\nf 1 2 3\n")
    (kinds / "stray.obj").write_text(f"{TRIANGLE}v 9e6 0 0\nv 9e6 1 0\nv 9e6 0 1\nf -3 -2 -1\n")
    (kinds / "clear.obj").write_text(f"mtllib clear.mtl\nusemtl m\n{TRIANGLE}")
    (kinds / "clear.mtl").write_text("newmtl m\nKd 1 1 1\nd 0\n")
    (kinds / "light.obj").write_text(f"mtllib light.mtl\nusemtl m\n{TRIANGLE}")
    (kinds / "light.mtl").write_text("newmtl m\nKd 1 1 1\nmap_Kd light.hdr\n")
    (kinds / "light.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n")
    trimesh.creation.box().export(kinds / "box.ply")
    (kinds / "bare.obj").write_text(f"mtllib bare.mtl\nusemtl m\n{TRIANGLE}")
    (kinds / "bare.mtl").write_text("newmtl m\nmap_Kd gone.png\n")
    (kinds / "vast.obj").write_text(f"mtllib vast.mtl\nusemtl m\n{TRIANGLE}")
    (kinds / "vast.mtl").write_text("newmtl m\nmap_Kd wall.png\n")
    (kinds / "wall.png").write_bytes(png_header(30_000, 30_000))
    (kinds / "cloud.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n"
    )
    (kinds / "point.obj").write_text("v 1 1 1\nf 1 1 1\n")
    (kinds / "single.obj").write_text("v 1 1 1\n" * 3 + "f 1 2 3\n")
    with zipfile.ZipFile(folder / "03001627.zip", "w") as archive:
        archive.writestr("03001627/zipped/model.obj", TRIANGLE)
        archive.writestr("03001627/evil/model.obj", TRIANGLE)
        archive.writestr("03001627/evil/../../evil", "evil")
    for kind, (content, _) in UNUSABLE.items():
        write_model(folder / "03797390" / kind, content)
    return folder


REASONS = {
    "meshopt": "it requires EXT_meshopt_compression, which Blender cannot read; store it without",
    "ktx2": "it requires KHR_texture_basisu, which Blender cannot read; store it without",
    "outside": "it refers to /dev/zero, which is outside its folder",
    "pipe": "it refers to pipe.bin, which is no regular file",
    "itself": "it is no regular file",
    "painted": "it refers to wood.png, which is no regular file",
    "large": "it holds coordinates that are not finite",
    "vast": "its texture wall.png has 30,000 x 30,000 px; at most 16,384 a side can be rendered",
    "cloud": "it holds no faces",
    "point": "it holds no faces",
    "single": "all its vertices are in one place",
    "evil": "a name in its archive leads out of its folder: '03001627/evil/../../evil'",
    "light": "its texture light.hdr is a Radiance HDR, whose size is not known before it is loaded; make it a PNG",
    **{kind: reason for kind, (_, reason) in UNUSABLE.items()},
}
GOOD = ("draco", "plain", "long", "box", "zipped")
NOTES = {
    "bare": "texture gone.png is missing",
    "stray": "no part of it is in the frame of the first view",
    "clear": "all of its surface is transparent",
}


@pytest.mark.blender
def test_check_and_render_say_the_same_of_every_model(models, tmp_path):
    checked = call("models", "check", models, "--workers", "1")
    assert checked.code == 0
    out = tmp_path / "views"
    rendered = call("render", models, out, *SMALL, "--workers", "1")
    assert rendered.code == 1
    assert rendered.error.startswith(f"{len(REASONS)} objects could not be rendered; all others are done.")

    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    reasons = {failure["object"]: failure["reason"] for failure in failures}
    assert sorted(reasons) == sorted(REASONS)
    assert all(re.match(REASONS[name], reason) for name, reason in reasons.items())
    assert {failure["attempts"] for failure in failures} == {1}
    told = [f"{failure['synset']}/{failure['object']}: {failure['reason']}" for failure in failures]
    assert "\n".join([*(f"  {line}" for line in told[:10]), f"  and {len(told) - 10} more\n"]) in rendered.out
    assert all(f"failed: {line}\n" in rendered.err for line in told)
    index = open_dataset(out)
    views = [view.metadata for split in ("train", "val") for view in read_views(out, index, split)]
    assert {view.object: view.notes for view in views} == {
        name: (NOTES[name],) if name in NOTES else () for name in (*GOOD, *NOTES)
    }
    named = [line for line in checked.out.splitlines() if line.startswith("  ")]
    assert named == [
        *sorted(f"  {synset_of(name)}/{name}: {reason}" for name, reason in reasons.items()),
        *sorted(f"  kinds/{name}, note: {note}" for name, note in NOTES.items()),
    ]
    usable = len(NOTES) + len(GOOD)
    assert f"{len(REASONS) + usable} objects in 3 classes, {usable} usable" in checked.out
    verified = call("verify", out, "--workers", "1")
    assert verified.out == f"{out}: {3 * usable} views, all as the index and the dataset format say\n"

    again = call("render", models, out, *SMALL, "--allow-failures", str(len(REASONS)))
    assert again.code == 0 and "nothing was rendered" in again.out
    assert f"{len(REASONS)} objects failed" in again.out


def synset_of(name):
    return "03797390" if name in UNUSABLE else "03001627" if name in ("evil", "zipped") else "kinds"


@pytest.mark.blender
def test_a_model_that_hangs_is_named_and_nothing_is_left_behind(tmp_path, monkeypatch):
    node = tmp_path / "node"
    node.mkdir()
    monkeypatch.setenv("TMPDIR", str(node))
    monkeypatch.setattr("tempfile.tempdir", None)
    write_model(tmp_path / "models" / "02876657" / "bottle", TRIANGLE)
    done = []
    with closing(HeldFile(write_model(tmp_path / "models" / "02876657" / "hangs", TRIANGLE))):
        report = check_models(scan_models(tmp_path / "models"), 1, lambda: done.append(1), timeout=4)
    assert report.reasons == {("02876657", "hangs"): "reading it, or one of its views, took longer than 4 s"}
    assert len(done) == 2 and report.usable == 1
    assert list(node.iterdir()) == []


def test_the_command_fails_where_nothing_can_be_used(tmp_path, monkeypatch):
    engine = FakeEngine(lambda name, attempt: ModelError("it holds no faces"))
    monkeypatch.setattr(check, "open_engine", lambda *_: engine)
    monkeypatch.setattr(check, "require_blender", lambda: None)
    write_model(tmp_path / "03797390" / "mug", "")
    result = call("models", "check", tmp_path)
    assert result.code == 1
    assert result.error == f"none of the 1 objects in {tmp_path} can be used"
    assert "03797390/mug: it holds no faces" in result.out
