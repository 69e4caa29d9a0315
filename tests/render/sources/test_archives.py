"""One object out of a zip file, and nothing else out of it."""

import contextlib
import os
import stat
import tempfile
import zipfile
from unittest import mock

import pytest

from models import TRIANGLE
from render.catalog import scan_models
from render.model_errors import ModelError, SourceUnavailable
from render.sources import archives
from render.sources.archives import objects_in_archive, opened_model
from shards.errors import UsageError

MESH = "models/model_normalized.obj"


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@contextlib.contextmanager
def opened(path, name, temporary=None):
    """An object of an archive, unpacked below another temporary folder if one is given."""
    (item,) = (item for item in scan_models(path.parent) if item.object_id == name)
    with mock.patch.object(tempfile, "tempdir", temporary and str(temporary)), opened_model(item) as model:
        yield model


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
    with opened(path, "a", staging) as model:
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
        opened(path, "a", tmp_path),
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
        opened(path, "a", tmp_path),
    ):
        pass


def test_a_zip_bomb_costs_the_object_and_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_BYTES", 2**24)
    path = tmp_path / "02691156.zip"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open(f"02691156/a/{MESH}", "w", force_zip64=True) as stream,
    ):
        for _ in range(17):
            stream.write(bytes(2**20))
    assert path.stat().st_size < 2**20
    with (
        pytest.raises(ModelError, match="more than 16 MiB when unpacked"),
        opened(path, "a", tmp_path),
    ):
        pass
    assert [item.name for item in tmp_path.iterdir()] == ["02691156.zip"]


def test_too_many_files_cost_the_object(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "LARGEST_MEMBERS", 3)
    members = {f"a/{MESH}": TRIANGLE} | {f"a/images/{number}.png": "" for number in range(3)}
    path = zipped(tmp_path / "02691156.zip", members)
    with (
        pytest.raises(ModelError, match="it has 4 files; at most 3"),
        opened(path, "a", None),
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
    with pytest.raises(ModelError), opened(path, "a", tmp_path):
        pass
    with opened(path, "b", tmp_path) as model:
        assert model.read_text() == TRIANGLE


def test_an_archive_that_is_none_is_one_sentence(tmp_path):
    (tmp_path / "02691156.zip").write_bytes(b"PK\3\4 cut short")
    with pytest.raises(
        UsageError, match=r"02691156\.zip is no zip file that can be read .* download it again"
    ):
        scan_models(tmp_path)


@pytest.fixture
def directories(monkeypatch):
    """How many members zipfile has listed, time after time."""
    read, sizes = zipfile.ZipFile._RealGetContents, []

    def counted(archive):
        read(archive)
        sizes.append(len(archive.filelist))

    monkeypatch.setattr(zipfile.ZipFile, "_RealGetContents", counted)
    return sizes


def test_whoever_opens_an_object_reads_its_part_of_the_directory_alone(tmp_path, directories):
    members = {
        f"02691156/{number}/{name}": TRIANGLE for number in range(99) for name in (MESH, "a.png", "b/c")
    }
    zipped(tmp_path / "02691156.zip", members)
    found = scan_models(tmp_path)
    for item in found[::9]:
        with opened_model(item) as model:
            assert model.read_text() == (model.parent.parent / "b" / "c").read_text() == TRIANGLE
    assert directories == [3 * 99, *[3] * 11]


METHODS = {
    "stored": zipfile.ZIP_STORED,
    "deflated": zipfile.ZIP_DEFLATED,
    "bz2": zipfile.ZIP_BZIP2,
    "lzma": zipfile.ZIP_LZMA,
}


def test_members_come_out_whole_however_they_are_packed_and_wherever_they_are_listed(tmp_path):
    """The members of one object stand apart, in one archive that begins behind a program, with comments and dates."""
    path, contents = tmp_path / "02691156.zip", {}
    with zipfile.ZipFile(path, "w") as archive:
        archive.comment = b"of the archive" * 9
        for file in (MESH, "models/model_normalized.mtl", "images/h\u00f6lz.png"):
            for name, method in METHODS.items():
                member = zipfile.ZipInfo(f"02691156/{name}/{file}", (2012, 2, 2, 2, 2, 2))
                member.comment, member.extra, member.compress_type = (
                    b"c" * len(name),
                    b"\xfe\xca\2\0xy",
                    method,
                )
                contents[name, file] = f"{name} {file}".encode() * 999
                archive.writestr(member, contents[name, file])
    path.write_bytes(b"#!/bin/sh\nexit\n" * 99 + path.read_bytes())
    for item in scan_models(tmp_path):
        with opened_model(item) as model:
            root = model.parent.parent
            there = {
                (item.object_id, str(file.relative_to(root))): file.read_bytes() for file in root.rglob("*.*")
            }
        assert there == {key: content for key, content in contents.items() if key[0] == item.object_id}


def test_positions_beyond_32_bits_are_found(tmp_path):
    """A sparse file of 5 GB: the second object and the directory begin behind what 32 bits can tell."""
    path = tmp_path / "02691156.zip"
    with path.open("wb") as stream, zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(f"02691156/a/{MESH}", TRIANGLE)
        stream.seek(5 * 2**30)
        archive.start_dir = stream.tell()
        archive.writestr(f"02691156/b/{MESH}", TRIANGLE * 2)
    for name, text in (("a", TRIANGLE), ("b", TRIANGLE * 2)):
        with opened(path, name) as model:
            assert model.read_text() == text


def test_an_object_that_needs_a_password_says_so_and_costs_itself_only(tmp_path):
    path = zipped(tmp_path / "02691156.zip", {f"02691156/{name}/{MESH}": TRIANGLE for name in "ab"})
    content = bytearray(path.read_bytes())
    record = content.index(b"PK\1\2")
    content[6] |= 1  # of the first member
    content[record + 8] |= 1  # in the directory
    path.write_bytes(content)
    with pytest.raises(ModelError, match="is encrypted, password required"), opened(path, "a"):
        pass
    with opened(path, "b") as model:
        assert model.read_text() == TRIANGLE


@pytest.mark.parametrize("change", ["longer", "shorter", "other objects", "no archive", "empty"])
def test_an_archive_that_changed_since_it_was_listed_is_named_and_no_model_to_blame(tmp_path, change):
    path = zipped(tmp_path / "02691156.zip", {f"02691156/{name}/{MESH}": TRIANGLE for name in "abc"})
    item = scan_models(tmp_path)[1]
    if change in ("no archive", "empty"):
        path.write_bytes(b"x" * path.stat().st_size if change == "no archive" else b"")
    else:
        renamed = "xyz" if change == "other objects" else "abc"
        text = {"longer": TRIANGLE + "# as it is now\n", "shorter": "", "other objects": TRIANGLE}[change]
        zipped(path, {f"02691156/{name}/{MESH}": text for name in renamed})
    with pytest.raises(SourceUnavailable, match=r"02691156\.zip has changed since"), opened_model(item):
        pass


def test_an_archive_that_is_a_pipe_is_one_sentence_at_once(tmp_path):
    os.mkfifo(tmp_path / "02691156.zip")
    with pytest.raises(
        UsageError, match=r"02691156\.zip is no zip file that can be read \(it is no regular file\)"
    ):
        scan_models(tmp_path)
