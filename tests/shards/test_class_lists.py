"""Classes of Objaverse's models and the official split of ShapeNet are read as they are published."""

import gzip
import json

import pytest

from commands import call
from models import TRIANGLE
from render.catalog import scan_models, with_classes
from shards.class_lists import read_classes, read_official_split
from shards.errors import UsageError

LVIS = {"chair": ["a1", "b2"], "mug": ["c3"]}
BY_UID = {"a1": "chair", "b2": "chair", "c3": "mug"}


@pytest.fixture
def objaverse(tmp_path):
    """Models as Objaverse's own client downloads them; one has no class."""
    for place in ("000-023/a1", "000-023/c3", "000-159/b2", "000-159/d4"):
        path = tmp_path / "glbs" / f"{place}.obj"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TRIANGLE)
    return tmp_path


def written(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("lvis.json", json.dumps(LVIS)),
        ("lvis-annotations.json.gz", gzip.compress(json.dumps(LVIS).encode(), mtime=0)),
        ("classes.json", json.dumps(BY_UID)),
        ("classes.csv", "uid,class\na1,chair\nb2,chair\nc3,mug\n"),
        ("bare.csv", "a1,chair\nb2, chair\n\nc3,mug\n"),
    ],
)
def test_classes_are_read_as_they_are_published(tmp_path, name, content):
    assert read_classes(written(tmp_path / name, content)) == BY_UID


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", "[]"),
        ("a.json", '{"chair": 3}'),
        ("a.json", "{"),
        ("a.json", "{}"),
        ("a.json.gz", "no gzip"),
        ("a.csv", "a1,chair,more\n"),
        ("a.csv", ""),
    ],
)
def test_a_file_that_holds_no_classes_is_one_sentence(tmp_path, name, content):
    with pytest.raises(UsageError, match="class"):
        read_classes(written(tmp_path / name, content))


@pytest.mark.parametrize("below", ["glbs", "."])
def test_models_of_objaverse_are_in_their_classes_and_the_rest_is_left_out(objaverse, below):
    found = with_classes(scan_models(objaverse / below), BY_UID)
    assert [(item.synset, item.object_id, item.label) for item in found] == [
        ("chair", "a1", 0),
        ("chair", "b2", 0),
        ("mug", "c3", 1),
    ]
    assert {item.path.name for item in found} == {"a1.obj", "b2.obj", "c3.obj"}
    assert all(item.rescaled for item in found)


def test_classes_of_other_models_are_one_sentence(objaverse, tmp_path):
    file = written(tmp_path / "classes.csv", "other,chair\n")
    result = call("render", objaverse / "glbs", tmp_path / "views", "--classes", file)
    assert result.code == 2
    assert result.error.startswith("none of the models has a class")


def test_the_official_split_of_shapenet_is_read_and_test_counts_as_val(tmp_path):
    rows = "id,synsetId,subSynsetId,modelId,split\n0,2691156,x,a,train\n1,02691156,x,b,test\n2,03797390,x,c,val\n"
    file = written(tmp_path / "all.csv", rows)
    assert read_official_split(file) == {
        ("02691156", "a"): "train",
        ("02691156", "b"): "val",
        ("03797390", "c"): "val",
    }


@pytest.mark.parametrize(
    "rows", ["a,b\n1,2\n", "synsetId,modelId,split\n1,a,other\n", "synsetId,modelId,split\n"]
)
def test_a_file_that_is_no_such_split_is_one_sentence(tmp_path, rows):
    with pytest.raises(UsageError, match=r"all\.csv|names no object"):
        read_official_split(written(tmp_path / "all.csv", rows))
