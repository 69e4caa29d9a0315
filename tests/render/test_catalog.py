"""Which objects a folder of models holds."""

import os

import pytest

from models import TRIANGLE, write_model
from render.catalog import scan_models
from shards.class_names import SHAPENET_CLASSES, class_name, classes_of_synsets
from shards.errors import UsageError
from shards.schema import split_of
from shards.shard_plan import fingerprint


@pytest.fixture
def models(tmp_path):
    """Two classes of ShapeNet and one of our own, with five objects each."""
    for synset in ("03797390", "02876657", "teapots"):
        for number in range(5):
            write_model(tmp_path / synset / f"object{number}", TRIANGLE)
    return tmp_path


def test_objects_are_listed_by_synset_and_name(models):
    objects = scan_models(models)
    assert [(item.synset, item.object_id) for item in objects] == [
        (synset, f"object{number}") for synset in ("02876657", "03797390", "teapots") for number in range(5)
    ]
    assert all(item.path.read_text() == TRIANGLE for item in objects)
    assert all(item.split == split_of(item.synset, item.object_id) for item in objects)


def test_labels_follow_the_sorted_synsets(models):
    objects = scan_models(models)
    synsets = {item.synset for item in objects}
    assert {(item.synset, item.label) for item in objects} == {
        ("02876657", 0),
        ("03797390", 1),
        ("teapots", 2),
    }
    assert [(item.label, item.synset, item.name) for item in classes_of_synsets(synsets)] == [
        (0, "02876657", "bottle"),
        (1, "03797390", "mug"),
        (2, "teapots", "teapots"),
    ]


def test_the_classes_of_shapenet_stand_in_the_order_of_the_official_labels():
    assert len(SHAPENET_CLASSES) == 55
    assert list(SHAPENET_CLASSES) == sorted(SHAPENET_CLASSES)
    assert class_name("03001627") == "chair"


def test_the_layout_of_shapenet_1_is_known_too(tmp_path):
    (tmp_path / "03797390" / "old").mkdir(parents=True)
    path = tmp_path / "03797390" / "old" / "model.obj"
    path.write_text(TRIANGLE)
    assert [item.path for item in scan_models(tmp_path)] == [path]


def test_an_object_without_a_mesh_is_listed_with_the_place_of_its_mesh(models):
    (models / "teapots" / "empty").mkdir()
    (item,) = (item for item in scan_models(models) if item.object_id == "empty")
    assert item.path == models / "teapots" / "empty" / "models" / "model_normalized.obj"


def test_files_and_hidden_folders_beside_the_objects_are_passed_over(models):
    before = scan_models(models)
    (models / "models.json").write_text("{}")
    (models / "teapots" / "taxonomy.json").write_text("{}")
    write_model(models / ".cache" / "object", TRIANGLE)
    write_model(models / "teapots" / ".cache", TRIANGLE)
    assert scan_models(models) == before


def test_a_limit_keeps_the_share_of_every_class(models):
    objects = scan_models(models, limit=6)
    assert [item.synset for item in objects] == ["02876657"] * 2 + ["03797390"] * 2 + ["teapots"] * 2
    assert len(set(objects)) == 6
    assert scan_models(models, limit=99) == scan_models(models)


def test_a_fingerprint_changes_with_objects_labels_and_splits_only(models):
    objects = scan_models(models)
    assert fingerprint(objects) == fingerprint(scan_models(models))
    assert fingerprint(objects[1:]) != fingerprint(objects)
    write_model(models / "aeroplanes" / "object0", TRIANGLE)  # moves the labels
    assert fingerprint([item for item in scan_models(models) if item.label]) != fingerprint(objects)


def test_a_folder_that_does_not_exist_leads_to_the_command_that_makes_one(tmp_path):
    with pytest.raises(UsageError, match=r"there is no folder .*nowhere; make one with `iebench models make"):
        scan_models(tmp_path / "nowhere")


def test_a_folder_without_a_model_says_what_was_expected(tmp_path):
    (tmp_path / "03797390" / "mug").mkdir(parents=True)
    with pytest.raises(
        UsageError, match=r"holds no model: expected synset/object/models/model_normalized\.obj"
    ):
        scan_models(tmp_path)


def test_a_name_that_is_no_text_is_refused_by_name(models):
    (models / "teapots" / os.fsdecode(b"\xff")).mkdir()
    with pytest.raises(UsageError, match=r"teapots.*is no text"):
        scan_models(models)
