"""Shards become a folder in the published layout, and nothing is written anywhere else."""

import json

import numpy as np
import pytest

from commands import call
from folders import files_of, views_of
from shards.errors import IebenchError
from shards.published.layout import object_folder
from shards.reader import read_samples
from shards.samples import encode_sample
from shards.schema import INDEX_NAME, SampleMetadata, open_dataset
from toys import reseal, rewrite_index, toy_samples, with_passes

SHARD = "train-000000.tar"


def unpack(dataset, out, workers="1"):
    return call("unpack", dataset, out, "--workers", workers)


def renamed(synset, object_id):
    """The views of an object by another name, whose metadata says that name."""
    for sample in toy_samples("03797390", "mug1"):
        metadata = SampleMetadata.model_validate_json(sample["json"])
        metadata = metadata.model_copy(update={"synset": synset, "object": object_id})
        yield encode_sample(metadata, {"jpg": sample["jpg"]})


@pytest.mark.processes
def test_two_workers_write_the_files_of_one(toy_dataset, tmp_path):
    assert unpack(toy_dataset, tmp_path / "one").code == 0
    assert unpack(toy_dataset, tmp_path / "two", "2").code == 0
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_lists_stand_in_the_order_of_the_shards_with_labels_beside(toy_dataset, tmp_path):
    unpack(toy_dataset, tmp_path / "flat")
    images = np.load(tmp_path / "flat" / "train_images.npy")
    labels = np.load(tmp_path / "flat" / "train_labels.npy")
    assert images[0] == "/02876657/bottle0" and list(images) == sorted(images)
    assert [["/02876657", "/03001627", "/03797390"].index(name[:9]) for name in images] == labels.tolist()


def test_a_split_without_objects_has_empty_lists(toy_copy, tmp_path):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    content["splits"]["val"] = {"shards": [], "objects": 0, "views": 0}
    rewrite_index(toy_copy, content)
    assert unpack(toy_copy, tmp_path / "flat").code == 0
    images, labels = (np.load(tmp_path / "flat" / f"val_{what}.npy") for what in ("images", "labels"))
    assert images.shape == labels.shape == (0,) and images.dtype.kind == "U" and labels.dtype == np.int64


@pytest.mark.parametrize(
    ("synset", "object_id"),
    [
        ("..", "mug1"),
        ("03797390", ".."),
        ("03797390", "../../escaped"),
        ("03797390", "a/b"),
        ("/tmp", "mug1"),
        ("03797390", "/escaped"),
        ("03797390", ""),
        ("", "mug1"),
        (".unpack", "dataset.json"),
        ("03797390", "nul\0"),
        ("train_images.npy", "mug1"),
    ],
)
def test_a_name_that_can_be_no_folder_is_refused_and_nothing_is_written_outside(
    toy_copy, tmp_path, synset, object_id
):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    reseal(toy_copy, SHARD, list(renamed(synset, object_id)), objects=1)
    out = tmp_path / "deep" / "er" / "flat"
    before = set(tmp_path.rglob("*"))
    result = unpack(toy_copy, out)
    assert result.code == 1 and result.error
    assert {path for path in tmp_path.rglob("*") if out not in path.parents} - before == {out}
    assert not (out / "train_images.npy").exists()


def test_a_name_that_is_no_text_can_be_no_folder():
    with pytest.raises(IebenchError, match="cannot be the name of a folder"):
        object_folder("03797390", "\udc80")


def test_an_object_that_stands_in_two_shards_is_refused(toy_copy, tmp_path):
    reseal(toy_copy, SHARD, list(toy_samples("03797390", "mug1")), objects=1)
    reseal(toy_copy, "val-000000.tar", list(toy_samples("03797390", "mug1")), objects=1)
    result = unpack(toy_copy, tmp_path / "flat")
    assert result.code == 1 and "03797390/mug1 is in two shards" in result.error


def test_an_object_that_stands_twice_in_a_shard_is_refused(toy_copy, tmp_path):
    samples = [sample for name in ("mug1", "mug2", "mug1") for sample in toy_samples("03797390", name)]
    reseal(toy_copy, SHARD, samples, objects=3)
    result = unpack(toy_copy, tmp_path / "flat")
    assert result.code == 1 and "03797390-mug1-000 is damaged or out of order" in result.error


def test_a_changed_image_is_refused(toy_copy, tmp_path):
    samples = list(toy_samples("03797390", "mug1"))
    jpeg = bytearray(samples[1]["jpg"])
    jpeg[-20] ^= 4
    samples[1]["jpg"] = bytes(jpeg)
    reseal(toy_copy, SHARD, samples, objects=1)
    result = unpack(toy_copy, tmp_path / "flat")
    assert result.code == 1 and "03797390-mug1-001 is damaged" in result.error


def test_files_that_were_changed_or_deleted_are_written_again(toy_dataset, tmp_path):
    flat = tmp_path / "flat"
    unpack(toy_dataset, flat)
    before = files_of(flat)
    (flat / "03797390" / "mug1" / "image_2.jpg").unlink()
    (flat / "03797390" / "mug1" / "latent_0.npy").write_bytes(b"")
    assert unpack(toy_dataset, flat).code == 0
    assert files_of(flat) == before


def test_a_folder_with_something_else_is_left_alone(toy_dataset, toy_copy, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    result = unpack(toy_dataset, tmp_path / "mine")
    assert result.code == 2 and "exists and is no unpacked dataset" in result.error
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert unpack(toy_dataset, toy_copy).code == 2

    unpack(toy_dataset, tmp_path / "flat")
    content = json.loads((toy_copy / INDEX_NAME).read_text()) | {"seed": 4}
    rewrite_index(toy_copy, content)
    result = unpack(toy_copy, tmp_path / "flat")
    assert result.code == 2 and "holds another dataset, unpacked" in result.error


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        "日本",
        "\x93NUMPY\x01\x00\x46\x00{'descr': '|O', 'fortran_order': False, 'shape': (7,), }",
        7,
    ],
)
def test_a_format_of_latents_that_there_is_not_is_one_sentence(toy_copy, tmp_path, header):
    content = json.loads((toy_copy / INDEX_NAME).read_text()) | {"renderer": {"latents_header": header}}
    rewrite_index(toy_copy, content)
    result = unpack(toy_copy, tmp_path / "flat")
    assert result.code == 1 and "latents_header is no header of a .npy file" in result.error


def test_passes_are_left_out_and_named(toy_copy, tmp_path):
    for path in toy_copy.glob("*.tar"):
        samples = list(read_samples(path))
        reseal(toy_copy, path.name, list(with_passes(samples)))
    content = json.loads((toy_copy / INDEX_NAME).read_text()) | {"passes": ["mask", "depth", "normal"]}
    rewrite_index(toy_copy, content)
    assert open_dataset(toy_copy).passes
    result = unpack(toy_copy, tmp_path / "flat")
    assert (
        result.code == 0 and "left out, for want of a place in this layout: mask, depth, normal" in result.err
    )
    assert {name.split("/")[-1].split("_")[0] for name in views_of(tmp_path / "flat")} == {"image", "latent"}
