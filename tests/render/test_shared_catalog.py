"""One process scans the models, and those that share its work read what it found."""

import gzip
import json
import shutil
import zipfile

import pytest

from commands import SMALL, call
from models import TRIANGLE, write_model
from render import catalog, dataset
from render.catalog import scan_models
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


def test_an_archive_is_listed_anew_only_once_it_has_changed(tmp_path):
    folder = tmp_path / "models"
    folder.mkdir()

    def zipped(content):
        with zipfile.ZipFile(folder / "02691156.zip", "w") as archive:
            archive.writestr("02691156/a/models/a.mtl", content)
            archive.writestr("02691156/a/model.obj", TRIANGLE)
        return scan_models(folder)

    found = zipped("newmtl a")
    assert found[0].listing is not None
    assert shared_catalog(tmp_path / "out", folder, REQUEST, lambda: found) == found
    assert shared_catalog(tmp_path / "out", folder, REQUEST, never) == found
    changed = zipped("newmtl longer")
    assert changed != found
    assert shared_catalog(tmp_path / "out", folder, REQUEST, lambda: changed) == changed


def test_a_catalog_of_an_earlier_version_is_written_anew(models, tmp_path):
    found = scan_models(models)
    shared_catalog(tmp_path / "out", models, REQUEST, lambda: found)
    path = tmp_path / "out" / ".render" / "catalog.json.gz"
    content = json.loads(gzip.decompress(path.read_bytes()))
    del content["archives"]
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    assert shared_catalog(tmp_path / "out", models, REQUEST, lambda: found[:1]) == found[:1]


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
