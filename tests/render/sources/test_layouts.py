"""Whatever models come from, they are rendered, and what cannot be costs itself only."""

import shutil
import zipfile

import pytest
import trimesh

from commands import SMALL, call
from models import TRIANGLE, write_model
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
    result = call("render", zipped, out, *SMALL, "--workers", "1")
    assert result.code == 0, result.err
    assert digests(out) == digests(rendered_dataset)


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
    assert call("verify", out, "--workers", "1").code == 0
