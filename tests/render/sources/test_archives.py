"""One object out of a zip file, and nothing else out of it."""

import stat
import zipfile

import pytest

from models import TRIANGLE
from render.catalog import scan_models
from render.model_errors import ModelError
from render.sources import archives
from render.sources.archives import objects_in_archive, unpacked_model
from render.sources.opening import opened_model
from shards.errors import UsageError

MESH = "models/model_normalized.obj"


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def names(found):
    return [(item.synset, item.object_id, item.member) for item in found]


@pytest.mark.parametrize("start", ["02691156/", "", "ShapeNetCore.v2/02691156/", "./02691156/"])
@pytest.mark.parametrize("mesh", [MESH, "model.obj"])
def test_an_archive_may_start_at_the_synset_at_the_objects_or_further_up(tmp_path, start, mesh):
    members = {f"{start}plane{number}/{mesh}": TRIANGLE for number in range(2)}
    extra = {
        f"{start}plane0/images/a.png": "",
        f"{start}taxonomy.json": "{}",
        "README.txt": "",
        "__MACOSX/x": "",
    }
    path = zipped(tmp_path / "02691156.zip", {**members, **extra})
    assert names(objects_in_archive(path)) == [
        ("02691156", "plane0", f"{start}plane0/{mesh}"),
        ("02691156", "plane1", f"{start}plane1/{mesh}"),
    ]
    for item in scan_models(tmp_path):
        with opened_model(item) as model:
            assert model.read_text() == TRIANGLE


def test_only_the_objects_own_files_are_unpacked_and_they_go_again(tmp_path):
    members = {
        f"02691156/a/{MESH}": TRIANGLE,
        "02691156/a/models/model_normalized.mtl": "newmtl a\n",
        "02691156/a/images/wood é.png": "x",
        "02691156/a/models/model_normalized.solid.binvox": "voxels",
        f"02691156/ab/{MESH}": TRIANGLE,
    }
    path = zipped(tmp_path / "02691156.zip", members)
    staging = tmp_path / "staging"
    staging.mkdir()
    with unpacked_model(path, f"02691156/a/{MESH}", staging) as model:
        root = model.parent.parent
        assert root.parent == staging
        assert {str(item.relative_to(root)) for item in root.rglob("*") if item.is_file()} == {
            MESH,
            "models/model_normalized.mtl",
            "images/wood é.png",
        }
    assert not list(staging.iterdir())


def test_an_object_without_a_mesh_is_listed_with_the_place_of_its_mesh(tmp_path):
    members = {f"02691156/a/{MESH}": TRIANGLE, "02691156/b/models/model_normalized.mtl": ""}
    path = zipped(tmp_path / "02691156.zip", members)
    empty = scan_models(tmp_path)[1]
    assert (empty.object_id, empty.member) == ("b", f"02691156/b/{MESH}")
    with pytest.raises(ModelError, match=f"^there is no 02691156/b/{MESH} in {path}$"), opened_model(empty):
        pass


def test_an_object_that_is_unpacked_goes_before_the_archive(tmp_path):
    zipped(tmp_path / "02691156.zip", {f"02691156/{name}/{MESH}": "from the archive" for name in "abc"})
    zipped(tmp_path / "03001627.zip", {f"chair/{MESH}": TRIANGLE})
    for name, content in {"a": TRIANGLE, "b": None, "d": TRIANGLE}.items():
        folder = tmp_path / "02691156" / name / "models"
        folder.mkdir(parents=True)
        if content:
            (folder / "model_normalized.obj").write_text(content)
    found = scan_models(tmp_path)
    assert [(item.synset, item.object_id, bool(item.member)) for item in found] == [
        ("02691156", "a", False),
        ("02691156", "b", True),
        ("02691156", "c", True),
        ("02691156", "d", False),
        ("03001627", "chair", True),
    ]


@pytest.mark.parametrize("name", ["../../evil.obj", "x/../../../evil", "/../evil", "//etc/evil"])
def test_names_that_lead_out_of_the_folder_cost_the_object(tmp_path, name):
    path = zipped(tmp_path / "02691156.zip", {f"02691156/a/{MESH}": TRIANGLE, f"02691156/a/{name}": "evil"})
    with (
        pytest.raises(ModelError, match="leads out of its folder"),
        unpacked_model(path, f"02691156/a/{MESH}", tmp_path),
    ):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["02691156.zip"]


def test_a_link_costs_the_object(tmp_path):
    path = zipped(tmp_path / "02691156.zip", {f"02691156/a/{MESH}": TRIANGLE})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("02691156/a/images")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc")
    with (
        pytest.raises(ModelError, match="holds a link"),
        unpacked_model(path, f"02691156/a/{MESH}", tmp_path),
    ):
        pass


@pytest.mark.slow
def test_a_zip_bomb_costs_the_object_and_leaves_nothing(tmp_path):
    path = tmp_path / "02691156.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"02691156/a/{MESH}", "w", force_zip64=True) as stream,
    ):
        for _ in range(1025):
            stream.write(bytes(2**20))
    assert path.stat().st_size < 10 * 2**20
    with (
        pytest.raises(ModelError, match="more than 1,024 MiB when unpacked"),
        unpacked_model(path, f"02691156/a/{MESH}", tmp_path),
    ):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["02691156.zip"]


def test_too_many_files_cost_the_object(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_MEMBERS", 3)
    members = {f"a/{MESH}": TRIANGLE} | {f"a/images/{number}.png": "" for number in range(3)}
    path = zipped(tmp_path / "02691156.zip", members)
    with (
        pytest.raises(ModelError, match="it has 4 files; at most 3"),
        unpacked_model(path, f"a/{MESH}", None),
    ):
        pass


@pytest.mark.parametrize("damage", ["content", "file and folder"])
def test_a_member_that_is_damaged_costs_its_object_only(tmp_path, damage):
    members = {f"02691156/a/{MESH}": TRIANGLE * 99, f"02691156/b/{MESH}": TRIANGLE}
    path = zipped(tmp_path / "02691156.zip", members)
    if damage == "content":
        content = bytearray(path.read_bytes())
        content[70:90] = bytes(20)
        path.write_bytes(content)
    else:
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("02691156/a/models", "a file")
    with pytest.raises(ModelError), unpacked_model(path, f"02691156/a/{MESH}", tmp_path):
        pass
    with unpacked_model(path, f"02691156/b/{MESH}", tmp_path) as model:
        assert model.read_text() == TRIANGLE


def test_an_archive_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "02691156.zip").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(
        UsageError, match=r"02691156\.zip is no zip file that can be read .* download it again"
    ):
        scan_models(tmp_path)


def test_the_directory_of_an_archive_is_read_once(tmp_path, monkeypatch):
    path = zipped(tmp_path / "02691156.zip", {f"02691156/{name}/{MESH}": TRIANGLE for name in "abc"})
    opened = []
    original = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda name: opened.append(name) or original(name))
    for name in "abc":
        with unpacked_model(path, f"02691156/{name}/{MESH}", tmp_path):
            pass
    assert opened == [path]
