"""Any folder of class folders is a collection of models."""

import pickle

import pytest

from render.catalog import scan_models
from shards.schema import split_of


def catalog(folder, *files):
    for name in files:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return {f"{item.synset}/{item.object_id}": item for item in scan_models(folder)}


def places(folder, *files):
    return {name: str(item.path.relative_to(folder)) for name, item in catalog(folder, *files).items()}


def test_the_class_is_the_folder_and_the_object_the_file_without_its_suffix(tmp_path):
    files = [
        "chair/a b.glb",
        "chair/v1.2.final.OBJ",
        "chair/木.ply",
        "lamp/x.stl",
        "lamp/deep/er/y.off",
        "lamp/deep/er/z.off",
    ]
    assert places(tmp_path, *files) == {
        "chair/a b": "chair/a b.glb",
        "chair/v1.2.final": "chair/v1.2.final.OBJ",
        "chair/木": "chair/木.ply",
        "lamp/x": "lamp/x.stl",
        "lamp/deep/er/y": "lamp/deep/er/y.off",
        "lamp/deep/er/z": "lamp/deep/er/z.off",
    }


def test_a_folder_with_one_model_is_that_object(tmp_path):
    files = [
        "chair/1f3a/1f3a.glb",
        "chair/my chair/mesh.obj",
        "chair/my chair/mesh.mtl",
        "chair/a/b/scene.gltf",
    ]
    assert places(tmp_path, *files) == {
        "chair/1f3a": "chair/1f3a/1f3a.glb",
        "chair/my chair": "chair/my chair/mesh.obj",
        "chair/a/b": "chair/a/b/scene.gltf",
    }


def test_the_folders_of_modelnet_are_its_splits(tmp_path):
    found = catalog(
        tmp_path,
        "bed/train/bed_0001.off",
        "bed/train/bed_0002.off",
        "bed/test/bed_0516.off",
        "bed/val/x.off",
        "bed/y.off",
    )
    assert {name: item.split for name, item in found.items()} == {
        "bed/bed_0001": "train",
        "bed/bed_0002": "train",
        "bed/bed_0516": "val",
        "bed/x": "val",
        "bed/y": split_of("bed", "y"),
    }


def test_objects_of_both_splits_with_one_name_keep_their_folders(tmp_path):
    found = catalog(
        tmp_path, "bed/train/1.off", "bed/test/1.off", "bed/test/2.off", "bed/b.off", "bed/b/mesh.obj"
    )
    assert sorted(found) == ["bed/2", "bed/b", "bed/b/mesh", "bed/test/1", "bed/train/1"]


@pytest.mark.parametrize(
    ("formats", "taken"),
    [
        (["obj", "glb", "stl"], "glb"),
        (["stl", "off", "ply"], "ply"),
        (["gltf", "obj"], "gltf"),
        (["stl", "off"], "off"),
    ],
)
def test_of_several_formats_the_one_that_tells_most_is_taken(tmp_path, formats, taken):
    assert places(tmp_path, *(f"mug/m.{suffix}" for suffix in formats)) == {"mug/m": f"mug/m.{taken}"}


def test_models_of_any_size_are_to_be_scaled_and_those_of_shapenet_are_not(tmp_path):
    found = catalog(tmp_path, "mug/m.obj", "bowl/b/model.obj", "03797390/x/models/model_normalized.obj")
    assert {name: item.rescaled for name, item in found.items()} == {
        "mug/m": True,
        "bowl/b": False,
        "03797390/x": False,
    }


def test_hidden_files_and_links_round_about_are_passed_over(tmp_path):
    (tmp_path / "mug").mkdir()
    (tmp_path / "mug" / "again").symlink_to(tmp_path / "mug")
    assert set(places(tmp_path, "mug/m.obj", "mug/._m.obj", "mug/.cache/x.obj", "mug/__MACOSX/m.obj")) == {
        "mug/m"
    }


def test_an_object_of_the_catalog_is_small_and_can_be_sent(tmp_path):
    (item,) = catalog(tmp_path, "mug/m.obj").values()
    assert pickle.loads(pickle.dumps(item)) == item and len({item, item}) == 1
    assert len(pickle.dumps(item)) < 600
