"""Bad input to the commands that make and check data is one sentence and an exit code, never a traceback."""

import json
import os

import pytest
from PIL import Image

from commands import SMALL, call, run
from models import TRIANGLE, write_model
from render.plan import PIXELS_VERSION
from shards.schema import INDEX_NAME
from toys import digests, reseal, toy_samples

SHARD = "train-000000.tar"


def change_index(folder, **changes):
    path = folder / INDEX_NAME
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rename_shard(folder, name):
    splits = json.loads((folder / INDEX_NAME).read_text())["splits"]
    splits["train"]["shards"][0]["name"] = name
    change_index(folder, splits=splits)


def truncate_shard(folder):
    shard = folder / SHARD
    shard.write_bytes(shard.read_bytes()[:5000])


def alter_shard(folder):
    data = bytearray((folder / SHARD).read_bytes())
    data[150] ^= 1  # in the first header
    (folder / SHARD).write_bytes(data)


def break_picture(folder):
    samples = list(toy_samples("03797390", "mug1"))
    samples[2]["jpg"] = samples[2]["jpg"][:100]
    reseal(folder, SHARD, samples, objects=1)


@pytest.mark.processes
def test_a_whole_dataset_is_verified(toy_dataset):
    result = call("verify", toy_dataset)
    assert (result.code, result.out) == (
        0,
        f"{toy_dataset}: 84 views, all as the index and the dataset format say\n",
    )


EARLIER = {"render": {"samples": 5}, "views": 3}
"""What the renderer recorded before it counted the changes of what a view shows."""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("renderer", "noted"),
    [
        (EARLIER, True),
        ({**EARLIER, "pixels_version": PIXELS_VERSION}, False),
        ({"source": "published"}, False),
    ],
)
def test_verify_says_which_datasets_show_black_triangles(toy_copy, renderer, noted):
    change_index(toy_copy, renderer=renderer)
    result = call("verify", toy_copy, "--workers", "1")
    assert result.code == 0 and "84 views, all as the index" in result.out
    assert ("they show black triangles: render them again into a new folder" in result.err) is noted


def test_a_sheet_is_an_image_with_a_row_per_class(toy_dataset, tmp_path):
    result = call("show", toy_dataset, "--out", tmp_path / "new" / "sheet.png")
    assert result.code == 0, result.err
    with Image.open(tmp_path / "new" / "sheet.png") as sheet:
        assert sheet.width > 4 * 128 and sheet.height > 3 * 128


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: None, "there is no folder"),
        (lambda folder: folder.mkdir(), "holds no model: expected synset/object/models/model_normalized.obj"),
        (lambda folder: (folder / "a" / "b").mkdir(parents=True), "holds no model"),
    ],
    ids=["nothing", "empty", "objects without meshes"],
)
@pytest.mark.parametrize("command", ["check", "render"])
def test_a_folder_without_models_is_refused(tmp_path, command, make, said):
    models = tmp_path / "models"
    make(models)
    arguments = (
        ["models", "check", models] if command == "check" else ["render", models, tmp_path / "views", *SMALL]
    )
    result = call(*arguments)
    assert result.code == 2
    assert said in result.error and str(models) in result.error
    assert not (tmp_path / "views").exists()


@pytest.mark.parametrize(
    ("damage", "code", "said"),
    [
        (lambda folder: (folder / INDEX_NAME).unlink(), 2, "holds no dataset"),
        (
            lambda folder: (folder / INDEX_NAME).write_text("garbage"),
            1,
            "is not a dataset index that can be read",
        ),
        (lambda folder: change_index(folder, format_version=9), 1, "of format version 9"),
        (lambda folder: change_index(folder, classes=3), 1, "breaks the dataset format at classes"),
        (lambda folder: rename_shard(folder, "../x.tar"), 1, "is not the name of a .tar file beside it"),
        (lambda folder: (folder / SHARD).unlink(), 1, f"{SHARD} is missing"),
        (truncate_shard, 1, f"{SHARD} has 5,000 bytes and should have"),
        (alter_shard, 1, f"{SHARD} is damaged"),
        (break_picture, 1, "03797390-mug1-002: its JPEG does not decode"),
    ],
    ids=[
        "none",
        "garbage",
        "version",
        "contract",
        "shard name",
        "missing",
        "truncated",
        "altered",
        "picture",
    ],
)
def test_a_broken_dataset_cannot_be_shown(toy_copy, tmp_path, damage, code, said):
    damage(toy_copy)
    result = call("show", toy_copy, "--out", tmp_path / "sheet.png")
    assert result.code == code
    assert said in result.error
    assert not (tmp_path / "sheet.png").exists()


@pytest.mark.processes
@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda folder: (folder / SHARD).unlink(), f"{SHARD}: it is missing"),
        (truncate_shard, f"{SHARD}: it has 5,000 bytes and should have"),
        (alter_shard, f"{SHARD}: its SHA-256 is not the one in dataset.json"),
        (break_picture, f"{SHARD}, sample 03797390-mug1-002: its JPEG does not decode"),
    ],
    ids=["missing", "truncated", "altered", "picture"],
)
def test_verify_names_shard_and_sample_and_fails(toy_copy, damage, problem):
    damage(toy_copy)
    result = call("verify", toy_copy, "--workers", "1")
    assert result.code == 1
    assert any(line.startswith(problem) for line in result.out.splitlines())
    assert "run the command that made the dataset again with --repair" in result.error


@pytest.mark.parametrize("name", ["pipe:touch owned", "pipe:touch owned.tar", "../x.tar"])
@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_shard_that_names_a_command_is_refused_and_not_run(toy_copy, tmp_path, monkeypatch, command, name):
    rename_shard(toy_copy, name)
    monkeypatch.chdir(tmp_path)
    result = call(command, toy_copy)
    assert result.code == 1
    assert f"names a shard {name!r}" in result.error
    assert not any(path.name.startswith("owned") for path in tmp_path.rglob("*"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--out", "sheet.nonsense"], "names no image format"),
        (["--split", "test"], "no view in split 'test'; it has: train, val"),
        (["--out", "file/sheet.png"], "file"),
        (["--rows", "0"], "0 is not in the range"),
    ],
)
def test_wrong_options_of_show_are_one_sentence(toy_dataset, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    result = call("show", toy_dataset, *arguments)
    assert result.code == 2
    assert said in result.error
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


@pytest.mark.processes
def test_showing_and_verifying_change_nothing(toy_copy, tmp_path):
    before = digests(toy_copy)
    call("show", toy_copy, "--out", tmp_path / "sheet.png")
    call("verify", toy_copy, "--workers", "1")
    assert digests(toy_copy) == before


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [["verify"], ["show"], ["models", "check"]], ids=" ".join)
def test_a_process_of_its_own_says_the_same(tmp_path, arguments):
    result = run(*arguments, tmp_path / "nowhere")
    assert result.code in (1, 2)
    assert str(tmp_path / "nowhere") in result.error
    assert result.out == ""


def test_models_that_are_not_named_in_text_are_refused(tmp_path):
    write_model(tmp_path / "02876657" / "bottle0", TRIANGLE)
    (tmp_path / "02876657" / os.fsdecode(b"\xff")).mkdir()
    result = call("models", "check", tmp_path)
    assert result.code == 2
    assert "is no text; rename it" in result.error
