"""One process scans the models, and those that share its work read what it found."""

import shutil

import pytest

from commands import SMALL, call
from models import TRIANGLE, write_model
from render import catalog, dataset
from render.catalog import ObjectRef, scan_models
from render.shared_catalog import shared_catalog
from shards.errors import UsageError

REQUEST = {"limit": None}


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "models"
    for name in ("a.b-c d", "木" * 80):
        write_model(folder / "my-class.é" / name, TRIANGLE)
    (folder / "cars").mkdir()
    (folder / "cars" / "car.off").write_text("OFF\n")
    shutil.make_archive(str(folder / "zipped"), "zip", folder, "my-class.é")
    return folder


def never():
    raise AssertionError("the models were scanned again")


def test_the_second_process_reads_the_very_objects_that_the_first_found(models, tmp_path):
    found = scan_models(models)
    assert any(item.rescaled for item in found)
    assert shared_catalog(tmp_path / "out", models, REQUEST, lambda: found) == found
    assert shared_catalog(tmp_path / "out", models, REQUEST, never) == found


def test_objects_in_archives_are_read_back_with_their_members(models, tmp_path):
    found = [ObjectRef("mug", "a", models / "x.zip", 0, "val", "mug/a/model.obj", False, models)]
    shared_catalog(tmp_path / "out", models, REQUEST, lambda: found)
    assert shared_catalog(tmp_path / "out", models, REQUEST, never) == found


def test_other_options_scan_anew(models, tmp_path):
    found = scan_models(models)
    shared_catalog(tmp_path / "out", models, REQUEST, lambda: found)
    assert shared_catalog(tmp_path / "out", models, {"limit": 1}, lambda: found[:1]) == found[:1]


def test_a_folder_that_holds_something_else_is_left_alone(models, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds no dataset of ours"):
        shared_catalog(tmp_path / "out", models, REQUEST, never)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_each_part_but_the_first_renders_without_a_scan(models, tmp_path, monkeypatch):
    plans = []
    monkeypatch.setattr(dataset, "render_dataset", lambda plan, *_: plans.append(plan) or stop())

    def stop():
        raise UsageError("far enough")

    render = ("render", models, tmp_path / "out", *SMALL)
    assert call(*render, "--part", "1/2").error == "far enough"
    monkeypatch.setattr(catalog, "_scan", lambda folder: never())
    assert call(*render, "--part", "2/2").error == "far enough"
    assert plans[0] == plans[1]
    with pytest.raises(AssertionError, match="scanned again"):
        call(*render)
    with pytest.raises(AssertionError, match="scanned again"):
        call(*render, "--part", "2/2", "--limit", "1")
