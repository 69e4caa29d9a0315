"""A folder in the published layout becomes shards; what cannot is named, and only that is left out."""

import io
import json
import os
import re
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from commands import call
from folders import OBJECTS, SIZE, write_folder
from shards.images import decode_jpeg, encode_jpeg
from shards.reader import read_views
from shards.schema import open_dataset, split_of
from shards.variants import VARIANTS
from toys import digests

VICTIM = "03001627/o2"


@pytest.fixture
def source(tmp_path):
    return write_folder(tmp_path / "source")


def pack(source, out, *options):
    return call("pack", source, out, "--workers", "1", "--objects-per-shard", "3", *options)


def failures_of(out):
    lines = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    return {f"{line['synset']}/{line['object']}": line["reason"] for line in lines}


def names_of(out):
    index = open_dataset(out)
    views = [
        view for split in index.splits if index.splits[split].views for view in read_views(out, index, split)
    ]
    return sorted({f"{view.metadata.synset}/{view.metadata.object}" for view in views})


@pytest.mark.processes
def test_jpeg_bytes_labels_and_latents_are_those_of_the_files(source, tmp_path):
    out = tmp_path / "out"
    result = pack(source, out)
    assert result.code == 0, result.err
    assert (out / "failures.jsonl").read_text() == "" and not (out / ".pack").exists()
    index = open_dataset(out)
    assert (index.variant, index.views_per_object, index.image_size, index.seed) == (
        "3diebench",
        3,
        SIZE,
        None,
    )
    assert index.latents == VARIANTS["3diebench"]
    assert [(item.label, item.synset, item.name) for item in index.classes] == [
        (0, "02876657", "bottle"),
        (1, "03001627", "chair"),
        (2, "03797390", "mug"),
    ]
    assert names_of(out) == sorted(OBJECTS)
    for split in ("train", "val"):
        for view in read_views(out, index, split):
            synset, name, number = view.metadata.synset, view.metadata.object, view.metadata.view
            assert split == split_of(synset, name)
            assert view.jpeg == (source / synset / name / f"image_{number}.jpg").read_bytes()
            latents = np.load(source / synset / name / f"latent_{number}.npy")
            assert np.array(view.metadata.latents).tobytes() == latents.tobytes()
            assert view.metadata.label == ["02876657", "03001627", "03797390"].index(synset)
    assert call("verify", out, "--workers", "1").code == 0


def test_mean_and_deviation_are_those_of_the_training_images(source, tmp_path):
    pack(source, tmp_path / "out")
    images = [
        decode_jpeg(path.read_bytes(), path.name)
        for name in OBJECTS
        if split_of(*name.split("/")) == "train"
        for path in (source / name).glob("*.jpg")
    ]
    index = open_dataset(tmp_path / "out")
    assert index.channel_mean == pytest.approx(np.mean(images, axis=(0, 1, 2)) / 255, abs=1e-6)
    assert index.channel_std == pytest.approx(np.std(images, axis=(0, 1, 2)) / 255, abs=1e-6)


def test_of_a_damaged_shard_just_what_is_lost_is_read_from_the_source(source, tmp_path):
    out = tmp_path / "out"
    pack(source, out)
    whole = digests(out)
    shard = out / "train-000000.tar"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert "nothing was packed" in pack(source, out).out
    assert digests(out) != whole

    rows = pyarrow.parquet.read_table(out / "latents.parquet").to_pylist()
    lost = [f"{row['synset']}/{row['object']}" for row in rows if row["shard"] == shard.name][4]
    for path in source.glob("*/*/image_1.jpg"):
        if path.parent != source / lost:
            path.unlink()
    repaired = pack(source, out, "--repair")
    assert repaired.code == 0 and "nothing was packed" not in repaired.out
    assert digests(out) == whole


class Pickled:
    """Whoever unpickles it leaves a file behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def truncate(path, keep):
    path.write_bytes(path.read_bytes()[:keep])


def flip_a_rotation(path):
    values = np.load(path)
    values[1] = 3.0
    np.save(path, values)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.processes
@pytest.mark.parametrize(
    ("file", "damage", "reason"),
    [
        ("image_1.jpg", lambda path: path.unlink(), "image_1.jpg is missing"),
        ("latent_2.npy", lambda path: path.unlink(), "latent_2.npy is missing"),
        ("image_2.jpg", lambda path: truncate(path, -40), "image_2.jpg: its JPEG does not decode"),
        ("image_0.jpg", lambda path: truncate(path, 0), "image_0.jpg: it is no JPEG that can be read"),
        ("image_0.jpg", lambda path: path.write_bytes(b"GIF89a" * 9), "image_0.jpg: it is no JPEG"),
        ("image_1.jpg", pipe, "image_1.jpg is no file"),
        (
            "image_2.jpg",
            lambda path: path.write_bytes(encode_jpeg(np.zeros((SIZE, SIZE + 8, 3), np.uint8))),
            f"image_2.jpg: it is {SIZE + 8} x {SIZE} px and should be {SIZE} px square",
        ),
        (
            "latent_0.npy",
            lambda path: truncate(path, -3),
            "latent_0.npy: it has 181 bytes and should have 184",
        ),
        (
            "latent_0.npy",
            lambda path: truncate(path, 20),
            "latent_0.npy: it is no .npy file that can be read",
        ),
        (
            "latent_0.npy",
            lambda path: path.write_bytes(path.read_bytes() + b"x"),
            "185 bytes and should have 184",
        ),
        (
            "latent_1.npy",
            lambda path: np.save(path, np.zeros(6)),
            "latent_1.npy: .* 6 float64, not 7 float64",
        ),
        ("latent_1.npy", lambda path: np.save(path, np.zeros(7, "f4")), "7 float32, not 7 float64"),
        ("latent_1.npy", lambda path: np.save(path, np.zeros(7, int)), "it holds int64, and latents are"),
        ("latent_1.npy", lambda path: np.save(path, np.zeros((1, 7))), "another header"),
        (
            "latent_1.npy",
            lambda path: np.save(path, np.full(7, np.nan)),
            "rotation_x is nan, out of the range",
        ),
        (
            "latent_2.npy",
            flip_a_rotation,
            "latent_2.npy: rotation_y is 3, out of the range of variant 3diebench",
        ),
    ],
)
def test_an_object_with_a_missing_or_broken_file_is_named_and_left_out(
    source, tmp_path, file, damage, reason
):
    damage(source / VICTIM / file)
    out = tmp_path / "out"
    result = pack(source, out)
    assert result.code == 0, result.err
    assert re.search(f"failed: {VICTIM}: .*{reason}", result.err)
    failures = failures_of(out)
    assert list(failures) == [VICTIM] and re.search(reason, failures[VICTIM])
    assert names_of(out) == sorted(set(OBJECTS) - {VICTIM})
    assert call("verify", out, "--workers", "1").code == 0


def test_latents_that_need_pickle_are_never_unpickled(source, tmp_path):
    trap = tmp_path / "unpickled"
    np.save(source / VICTIM / "latent_0.npy", np.array([Pickled(trap)], dtype=object), allow_pickle=True)
    assert pack(source, tmp_path / "out").code == 0
    assert failures_of(tmp_path / "out") == {
        VICTIM: "latent_0.npy: it holds pickled objects, which are never read"
    }
    assert not trap.exists()


@pytest.mark.processes
def test_an_object_with_more_views_than_the_others_is_named_and_a_number_of_views_can_be_given(
    source, tmp_path
):
    for kind in ("image_0.jpg", "latent_0.npy"):
        (source / VICTIM / kind.replace("0", "3")).write_bytes((source / VICTIM / kind).read_bytes())
    assert pack(source, tmp_path / "all").code == 0
    assert "it holds image_3.jpg, and the others have 3 views" in failures_of(tmp_path / "all")[VICTIM]
    assert pack(source, tmp_path / "two", "--views", "2").code == 0
    assert failures_of(tmp_path / "two") == {}
    assert open_dataset(tmp_path / "two").views_per_object == 2
    assert call("verify", tmp_path / "two", "--workers", "1").code == 0


def test_repaired_files_are_packed_once_the_list_of_failures_is_deleted(source, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    pack(source, whole)
    image = source / VICTIM / "image_1.jpg"
    data = image.read_bytes()
    image.write_bytes(data[:100])
    pack(source, out)
    image.write_bytes(data)
    again = pack(source, out)
    assert "nothing was missing; nothing was packed" in again.out and list(failures_of(out)) == [VICTIM]
    (out / "failures.jsonl").unlink()
    assert pack(source, out).code == 0
    assert digests(out) == digests(whole)


def test_where_every_object_is_broken_there_is_no_dataset(source, tmp_path):
    for path in source.rglob("image_1.jpg"):
        path.unlink()
    result = pack(source, tmp_path / "out")
    assert result.code == 1
    assert result.error.startswith("none of the 12 objects could be packed")
    assert len(failures_of(tmp_path / "out")) == 12 and not list((tmp_path / "out").glob("*.tar"))


def test_a_deleted_shard_is_rebuilt_alone_with_the_same_bytes(source, tmp_path):
    (source / VICTIM / "image_1.jpg").unlink()
    out = tmp_path / "out"
    pack(source, out)
    before = digests(out)
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("*.tar")}
    (out / "train-000001.tar").unlink()
    result = pack(source, out)
    assert result.code == 0, result.err
    assert digests(out) == before
    assert [path.name for path in out.glob("*.tar") if path.stat().st_mtime_ns != times[path.name]] == [
        "train-000001.tar"
    ]


@pytest.mark.processes
def test_two_workers_give_the_bytes_of_one(source, tmp_path):
    (source / VICTIM / "image_1.jpg").unlink()
    pack(source, tmp_path / "one")
    result = call("pack", source, tmp_path / "two", "--workers", "2", "--objects-per-shard", "3")
    assert result.code == 0, result.err
    assert digests(tmp_path / "two") == digests(tmp_path / "one")


def test_swapped_channels_are_marked_kept_and_read_in_true_order(tmp_path):
    swapped = write_folder(tmp_path / "swapped", channel_order="bgr", chroma="4:4:4")
    true = write_folder(tmp_path / "true", chroma="4:4:4")
    pack(swapped, tmp_path / "bgr", "--channel-order", "bgr")
    pack(true, tmp_path / "rgb")
    bgr, rgb = open_dataset(tmp_path / "bgr"), open_dataset(tmp_path / "rgb")
    assert (bgr.channel_order, rgb.channel_order) == ("bgr", "rgb")
    assert bgr.channel_mean == pytest.approx(rgb.channel_mean, abs=0.01)
    assert abs(bgr.channel_mean[0] - bgr.channel_mean[2]) > 0.02  # so that a swap would show
    for one, other in zip(
        read_views(tmp_path / "bgr", bgr, "val"), read_views(tmp_path / "rgb", rgb, "val"), strict=True
    ):
        assert (
            one.jpeg
            == (swapped / one.metadata.synset / one.metadata.object)
            .joinpath(f"image_{one.metadata.view}.jpg")
            .read_bytes()
        )
        assert np.abs(one.pixels().astype(int) - other.pixels()).mean() < 3


def test_lists_decide_the_split_and_leave_the_rest_out(source, tmp_path):
    np.save(tmp_path / "train.npy", np.array(["/03001627/o1", "/02876657/o0/", "/03001627/gone"]))
    np.save(tmp_path / "val.npy", np.array(["/03001627/o3"]))
    out = tmp_path / "out"
    result = pack(source, out, "--split-files", tmp_path / "train.npy", tmp_path / "val.npy")
    assert result.code == 0, result.err
    assert "9 other objects are in neither list and left out" in result.err
    assert failures_of(out) == {"03001627/gone": "its folder is missing"}
    index = open_dataset(out)
    assert [item.synset for item in index.classes] == ["02876657", "03001627"]
    found = {
        split: sorted(
            {f"{view.metadata.synset}/{view.metadata.object}" for view in read_views(out, index, split)}
        )
        for split in ("train", "val")
    }
    assert found == {"train": ["02876657/o0", "03001627/o1"], "val": ["03001627/o3"]}


def test_a_list_cannot_lead_out_of_the_folder(source, tmp_path):
    write_folder(tmp_path / "elsewhere", ["03001627/secret"])
    np.save(tmp_path / "train.npy", np.array(["/03001627/o1", "/03001627/../../elsewhere/03001627/secret"]))
    np.save(tmp_path / "val.npy", np.array(["/03001627/o3"]))
    assert (
        pack(source, tmp_path / "out", "--split-files", tmp_path / "train.npy", tmp_path / "val.npy").code
        == 0
    )
    assert names_of(tmp_path / "out") == ["03001627/o1", "03001627/o3"]
    (reason,) = failures_of(tmp_path / "out").values()
    assert "cannot be the name of a folder" in reason


def test_lists_of_other_objects_are_refused(source, tmp_path):
    for name in ("train", "val"):
        np.save(tmp_path / f"{name}.npy", np.array([f"/02691156/{name}"]))
    result = pack(source, tmp_path / "out", "--split-files", tmp_path / "train.npy", tmp_path / "val.npy")
    assert result.code == 2 and "the lists name none of the objects" in result.error


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--channel-order", "bgr"], 'packed with channel_order "rgb", not "bgr"'),
        (["--views", "2"], "packed with views 3, not 2"),
        (["--objects-per-shard", "2"], "packed with objects_per_shard 3, not 2"),
    ],
)
def test_other_settings_are_refused_by_name(source, tmp_path, options, said):
    pack(source, tmp_path / "out")
    before = digests(tmp_path / "out")
    result = pack(source, tmp_path / "out", *options)
    assert result.code == 2 and said in result.error
    assert digests(tmp_path / "out") == before


def test_a_folder_with_something_else_is_left_alone(source, tmp_path, toy_copy):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    for out, said in ((tmp_path / "mine", "holds no dataset of ours"), (source, "holds no dataset of ours")):
        result = pack(source, out)
        assert result.code == 2 and said in result.error
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    before = digests(toy_copy)
    result = pack(source, toy_copy)
    assert result.code == 2 and "was begun by an iebench with other settings" in result.error
    assert digests(toy_copy) == before and not (toy_copy / ".pack").exists()


def test_a_folder_that_holds_nothing_to_pack_is_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "holds no object: expected" in pack(tmp_path / "empty", tmp_path / "out").error
    assert "there is no folder" in pack(tmp_path / "nowhere", tmp_path / "out").error
    (tmp_path / "models" / "03001627" / "chair").mkdir(parents=True)
    assert "none of the objects in" in (error := pack(tmp_path / "models", tmp_path / "out").error)
    assert "image_0.jpg is missing" in error
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text_is_refused(source, tmp_path):
    Path(os.fsdecode(os.fsencode(source / "03001627") + b"/\xff")).mkdir()
    result = pack(source, tmp_path / "out")
    assert result.code == 2 and "is no text; rename it" in result.error


def test_a_file_of_npy_version_2_is_read(source, tmp_path):
    for path in source.rglob("*.npy"):
        buffer = io.BytesIO()
        np.lib.format.write_array(buffer, np.load(path), version=(2, 0))
        path.write_bytes(buffer.getvalue())
    assert pack(source, tmp_path / "out").code == 0
    assert failures_of(tmp_path / "out") == {}
