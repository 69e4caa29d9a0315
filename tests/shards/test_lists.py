"""Lists say which objects are used and in which split."""

import json

import numpy as np
import pytest

from commands import SMALL, call
from models import TRIANGLE, write_model
from render.catalog import scan_models, with_splits
from shards.errors import UsageError
from shards.lists import read_names, read_splits
from shards.reader import read_views
from shards.schema import open_dataset


@pytest.fixture
def models(tmp_path):
    for synset in ("02876657", "03797390"):
        for number in range(3):
            write_model(tmp_path / "models" / synset / f"o{number}", TRIANGLE)
    return tmp_path / "models"


@pytest.fixture
def published(tmp_path):
    """Lists as they are published; one object of them is not there, and two that are there are in neither."""
    np.save(tmp_path / "train.npy", np.array(["/02876657/o0/", "/03797390/o1/", "/03797390/gone/"]))
    np.save(tmp_path / "val.npy", np.array([b"/02876657/o2/", b"/02876657/o1/"]))
    return tmp_path / "train.npy", tmp_path / "val.npy"


def test_published_lists_decide_the_split_and_leave_the_rest_out(models, published):
    found = with_splits(scan_models(models), read_splits(*published), models)
    assert [(item.synset, item.object_id, item.split) for item in found] == [
        ("02876657", "o0", "train"),
        ("02876657", "o1", "val"),
        ("02876657", "o2", "val"),
        ("03797390", "gone", "train"),
        ("03797390", "o1", "train"),
    ]
    assert found[3].path == models / "03797390" / "gone" / "models" / "model_normalized.obj"
    assert [item.label for item in found] == [0, 0, 0, 1, 1]


def test_a_listed_object_that_is_not_there_is_expected_beside_its_like(tmp_path):
    (tmp_path / "mug").mkdir()
    (tmp_path / "mug" / "a.off").write_text("")
    (item,) = with_splits(scan_models(tmp_path), {("mug", "b"): "val"}, tmp_path)
    assert (item.path, item.rescaled, item.split) == (tmp_path / "mug" / "b.off", True, "val")


@pytest.mark.blender
def test_a_render_follows_the_lists_and_names_what_is_not_there(models, published, tmp_path):
    out = tmp_path / "views"
    result = call(
        "render", models, out, *SMALL, "--workers", "1", "--split-files", *published, "--allow-failures", "1"
    )
    assert result.code == 0, result.err
    index = open_dataset(out)
    objects = {
        split: {(v.synset, v.object) for v in metadata_of(out, index, split)} for split in ("train", "val")
    }
    assert objects == {
        "train": {("02876657", "o0"), ("03797390", "o1")},
        "val": {("02876657", "o1"), ("02876657", "o2")},
    }
    (failure,) = map(json.loads, (out / "failures.jsonl").read_text().splitlines())
    place = models / "03797390" / "gone" / "models" / "model_normalized.obj"
    assert (failure["object"], failure["reason"]) == ("gone", f"there is no {place}")


def metadata_of(out, index, split):
    return [view.metadata for view in read_views(out, index, split)]


@pytest.mark.blender
def test_a_render_of_listed_objects_holds_these_only(models, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("# mine\n03797390/o1\n\n/02876657/o0/\n03797390/o1\n")
    out = tmp_path / "views"
    assert call("render", models, out, *SMALL, "--workers", "1", "--objects", names).code == 0
    index = open_dataset(out)
    found = {
        (view.synset, view.object)
        for split, info in index.splits.items()
        if info.views
        for view in metadata_of(out, index, split)
    }
    assert found == {("03797390", "o1"), ("02876657", "o0")}


def test_a_listed_object_that_the_models_lack_is_named(models, tmp_path):
    (tmp_path / "names.txt").write_text("03797390/o9\n")
    result = call("render", models, tmp_path / "views", *SMALL, "--objects", tmp_path / "names.txt")
    assert result.code == 2
    assert "the models lack 1 of the objects asked for, such as 03797390/o9" in result.error


def test_an_object_in_both_lists_is_refused(tmp_path):
    for name in ("train.txt", "val.txt"):
        (tmp_path / name).write_text("a/b\n")
    with pytest.raises(UsageError, match=r"a/b is in both .*train\.txt and .*val\.txt"):
        read_splits(tmp_path / "train.txt", tmp_path / "val.txt")


ALL_CSV = """id,synsetId,subSynsetId,modelId,split
000001,02691156,02690373,1a04,train
000002,2691156,02690373,1a05,val
000003,03001627,03001627,1b00,test
"""


def test_the_published_array_of_all_objects_is_rows_of_synset_and_object(tmp_path):
    np.save(tmp_path / "all_objects.npy", np.array([["02691156", "1a04"], ["03001627", "1b00"], ["4", "5"]]))
    names = [("02691156", "1a04"), ("03001627", "1b00"), ("4", "5")]
    assert read_names(tmp_path / "all_objects.npy") == names


def test_the_csv_of_shapenet_names_its_objects(tmp_path):
    path = tmp_path / "all.csv"
    path.write_text(ALL_CSV)
    assert read_names(path) == [("02691156", "1a04"), ("02691156", "1a05"), ("03001627", "1b00")]


def test_a_csv_of_names_alone_is_a_list_as_any_other(tmp_path):
    (tmp_path / "names.csv").write_text("a/b\nc/d\n")
    assert read_names(tmp_path / "names.csv") == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.npy", np.array(["a/b"], dtype=object), "cannot be read: Object arrays"),
        ("a.npy", np.arange(3), "holds no text"),
        ("a.npy", np.array(["/02691156/"]), "names no object; write synset/object"),
        ("a.txt", b"\xff\xfe\n", "cannot be read"),
        ("a.txt", b"# nothing\n", "names no object"),
        ("a.npy", b"", "cannot be read"),
        ("a.csv", b"synsetId,modelId\n02691156,\n", "names no object; write synset/object"),
        ("a.csv", b"synsetId,modelId\n", "names no object"),
        ("a.csv", b"\xff\xfe\n", "cannot be read"),
        ("a.npy", np.array([["a", "b", "c"]]), "names no object; write synset/object"),
    ],
)
def test_a_list_that_is_none_is_one_sentence(tmp_path, name, content, said):
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(UsageError, match=said):
        read_names(path)
