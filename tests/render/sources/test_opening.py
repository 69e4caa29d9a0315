"""Whatever models come from, they are rendered, and what cannot be costs itself only."""

import json
import shutil
import zipfile

import pytest
import trimesh
from test_textures import png_header

from commands import SMALL, call
from models import TRIANGLE, write_model
from render.catalog import scan_models
from shards.reader import read_views
from shards.schema import open_dataset
from toys import digests

pytestmark = pytest.mark.blender


def zip_synsets(models, folder):
    folder.mkdir()
    for synset in filter(lambda path: path.is_dir(), models.iterdir()):
        with zipfile.ZipFile(folder / f"{synset.name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for path in sorted(synset.rglob("*")):
                archive.write(path, path.relative_to(models))
    return folder


def metadata_of(out):
    index = open_dataset(out)
    splits = [split for split, info in index.splits.items() if info.views]
    return [view.metadata for split in splits for view in read_views(out, index, split)]


def test_archives_give_the_bytes_of_the_folders_they_were_made_of(toy_models, rendered_dataset, tmp_path):
    zipped = zip_synsets(toy_models, tmp_path / "zipped")
    out = tmp_path / "views"
    result = call("render", zipped, out, *SMALL, "--workers", "2")
    assert result.code == 0, result.err
    assert digests(out) == digests(rendered_dataset)
    check = call("models", "check", zipped, "--workers", "1")
    assert "8 objects in 2 classes, 8 usable" in check.out


def test_models_of_any_layout_are_rendered_together(tmp_path):
    models, out = tmp_path / "models", tmp_path / "views"
    write_model(models / "03797390" / "mug", TRIANGLE)
    zip_synsets(models, tmp_path / "zipped")
    shutil.rmtree(models)
    models.mkdir()
    (tmp_path / "zipped" / "03797390.zip").rename(models / "03797390.zip")
    write_model(models / "02876657" / "bottle", TRIANGLE)
    for name in (
        "bed/train/bed_0001.off",
        "bed/test/bed 0002.off",
        "chair/1f/1f.glb",
        "stones/a.b.stl",
        "stones/ü.ply",
    ):
        path = models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        trimesh.creation.box((3, 4, 12)).export(path)
    result = call("render", models, out, *SMALL, "--workers", "1")
    assert result.code == 0 and "failed" not in result.out, result.err
    scales = {(item.synset, item.object): item.scale for item in metadata_of(out)}
    assert len(scales) == 7
    assert scales["02876657", "bottle"] is None and scales["03797390", "mug"] is None
    assert scales["bed", "bed_0001"] == scales["stones", "a.b"] == pytest.approx(1 / 13)
    assert call("verify", out).code == 0


def test_what_is_missing_of_a_model_is_noted_with_each_of_its_views(tmp_path):
    path = write_model(tmp_path / "models" / "02876657" / "bottle", f"mtllib m.mtl\nusemtl m\n{TRIANGLE}")
    path.with_name("m.mtl").write_text("newmtl m\nmap_Kd gone.png\n")
    assert call("render", tmp_path / "models", tmp_path / "views", *SMALL, "--workers", "1").code == 0
    assert [item.notes for item in metadata_of(tmp_path / "views")] == [("texture gone.png is missing",)] * 3


def test_what_cannot_be_rendered_is_named_alike_by_render_and_check(tmp_path):
    models, out = tmp_path / "models", tmp_path / "views"
    write_model(models / "02876657" / "good", TRIANGLE)
    large = write_model(models / "02876657" / "large", f"mtllib m.mtl\nusemtl m\n{TRIANGLE}")
    large.with_name("m.mtl").write_text("newmtl m\nmap_Kd wood.png\n")
    large.with_name("wood.png").write_bytes(png_header(30_000, 30_000))
    with zipfile.ZipFile(models / "03797390.zip", "w") as archive:
        archive.writestr("03797390/good/model.obj", TRIANGLE)
        archive.writestr("03797390/evil/model.obj", TRIANGLE)
        archive.writestr("03797390/evil/../../evil", "evil")
        archive.writestr("03797390/nan/model.obj", f"v nan 0 0\n{TRIANGLE}")
    (models / "dots").mkdir()
    (models / "dots" / "faceless.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header\n1 2 3\n"
    )
    (models / "dots" / "point.obj").write_text("v 1 1 1\nf 1 1 1\n")
    (models / "dots" / "single.obj").write_text("v 1 1 1\n" * 3 + "f 1 2 3\n")
    assert call("render", models, out, *SMALL, "--workers", "1").code == 1
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    reasons = {f"{item['synset']}/{item['object']}": item["reason"] for item in failures}
    assert set(reasons) == {
        "02876657/large",
        "03797390/evil",
        "03797390/nan",
        "dots/faceless",
        "dots/point",
        "dots/single",
    }
    assert "30,000 x 30,000 px" in reasons["02876657/large"]
    assert {item["attempts"] for item in failures} == {1}
    check = call("models", "check", models, "--workers", "1").out
    for name, reason in reasons.items():
        assert f"  {name}: {reason}\n" in check
    assert f"{len(scan_models(models))} objects in 3 classes, 2 usable" in check
