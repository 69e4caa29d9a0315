"""Views out of shards."""

import io
import json
import tarfile
from dataclasses import replace

import numpy as np
import pytest

from shards.errors import IebenchError, UsageError
from shards.passes import PASSES
from shards.reader import read_samples, read_shard, read_views
from shards.schema import open_dataset
from shards.variants import VARIANTS
from shards.writer import seal_shard
from toys import reseal, toy_image, toy_passes, toy_samples, with_passes

SHARD = "train-000000.tar"


def first_shard(folder):
    return open_dataset(folder).splits["train"].shards[0]


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_view_comes_exactly_once_in_the_order_of_the_index(toy_dataset, split):
    index = open_dataset(toy_dataset)
    keys = [view.metadata.key for view in read_views(toy_dataset, index, split)]
    in_tars = []
    for shard in index.splits[split].shards:
        with tarfile.open(toy_dataset / shard.name) as tar:
            in_tars += [name.removesuffix(".jpg") for name in tar.getnames() if name.endswith(".jpg")]
    assert keys == in_tars == sorted(keys)
    assert len(set(keys)) == len(keys) == index.splits[split].views > 0


def test_a_view_is_what_was_written(toy_dataset):
    index = open_dataset(toy_dataset)
    for view in read_views(toy_dataset, index, "val"):
        metadata = view.metadata
        drawn = toy_image(metadata.label, metadata.object, np.array(metadata.latents))
        assert np.abs(view.pixels().astype(int) - drawn).mean() < 6
        assert index.classes[metadata.label].synset == metadata.synset
        assert len(metadata.latents) == len(VARIANTS[index.variant])


def test_a_split_that_is_not_there_is_a_usage_error(toy_dataset):
    with pytest.raises(UsageError, match="no view in split 'test'"):
        next(read_views(toy_dataset, open_dataset(toy_dataset), "test"))


def truncated(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return data[: tar.getmembers()[6].offset_data + 100]


def cut_between_members(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return data[: tar.getmembers()[8].offset]


def damaged_header(data: bytes) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        place = tar.getmembers()[8].offset + 150
    return data[:place] + b"\xff" + data[place + 1 :]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncated, r"is damaged \(02876657-bottle0-003\.jpg: the archive is cut short\)"),
        (cut_between_members, r"is damaged \(after 02876657-bottle0-003\.json: the archive is cut short\)"),
        (damaged_header, r"is damaged \(02876657-bottle2-000\.jpg: a tar header is damaged\)"),
        (lambda data: b"", r"is damaged \(at its start: the archive is cut short\)"),
        (lambda data: bytes(len(data)), "holds 0 views and should hold 20"),
        (lambda data: b"garbage " * 2000, r"is damaged \(.*: a tar header is damaged\)"),
        (lambda data: b"\x1f\x8b\x08" + data[3:], r"is damaged \(.*: a tar header is damaged\)"),
    ],
    ids=["truncated", "cut between members", "damaged header", "empty", "zeros", "garbage", "gzip"],
)
def test_a_damaged_shard_is_one_sentence_that_names_it(toy_copy, damage, said):
    shard = first_shard(toy_copy)
    path = toy_copy / shard.name
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(IebenchError, match=rf"train-000000\.tar {said}; run `iebench verify`") as raised:
        list(read_shard(toy_copy, shard, "rgb"))
    assert "\n" not in str(raised.value) and "<" not in str(raised.value)


def test_a_missing_shard_is_one_sentence(toy_copy):
    shard = first_shard(toy_copy)
    (toy_copy / shard.name).unlink()
    with pytest.raises(IebenchError, match=r"train-000000\.tar cannot be read .*No such file"):
        list(read_shard(toy_copy, shard, "rgb"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"jpg": None}, r"member \.jpg is missing"),
        ({"json": None}, r"member \.json is missing"),
        ({"json": b"{"}, "its metadata cannot be read"),
        ({"json": b"[" * 100_000}, "its metadata cannot be read"),
        ({"json": b'{"synset": "a"}'}, r"its metadata cannot be read \(object: Field required\)"),
        ({"json": b"\xff\xfe\x00"}, "its metadata cannot be read"),
    ],
)
def test_a_sample_that_breaks_the_dataset_format_is_named(toy_copy, change, said):
    samples = list(toy_samples("03797390", "mug1"))
    samples[2] = {name: value for name, value in {**samples[2], **change}.items() if value is not None}
    index = reseal(toy_copy, SHARD, samples, objects=1)
    with pytest.raises(IebenchError, match=f"sample 03797390-mug1-002: {said}"):
        list(read_shard(toy_copy, index.splits["train"].shards[0], "rgb"))


def test_a_member_that_stands_twice_is_refused(tmp_path):
    path = tmp_path / "train-000000.tar"
    with tarfile.open(path, "w") as tar:
        for name in ("a-b-000.jpg", "a-b-000.jpg"):
            tar.addfile(tarfile.TarInfo(name))
    with pytest.raises(IebenchError, match="it is there twice"):
        list(read_samples(path))


def test_a_shard_is_opened_as_a_file_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    info = seal_shard(tmp_path / "pipe:touch owned", toy_samples("03797390", "mug0"), 1)
    assert len(list(read_shard(tmp_path, info, "rgb"))) == 4
    assert not (tmp_path / "owned").exists()


def test_optional_members_are_let_through(tmp_path):
    samples = [{**sample, "mask.png": b"mask"} for sample in toy_samples("03797390", "mug0")]
    info = seal_shard(tmp_path / "train-000000.tar", samples, 1)
    assert [sample["mask.png"] for sample in read_samples(tmp_path / info.name)] == [b"mask"] * 4
    assert [json.loads(sample["json"])["view"] for sample in read_samples(tmp_path / info.name)] == [
        0,
        1,
        2,
        3,
    ]
    assert len(list(read_shard(tmp_path, info, "rgb"))) == 4


@pytest.fixture
def view_with_passes(tmp_path):
    samples = with_passes(toy_samples("03797390", "mug1", views=1))
    (view,) = read_shard(tmp_path, seal_shard(tmp_path / "train-000000.tar", samples, 1), "rgb")
    return view


def test_a_view_gives_its_passes_as_arrays(view_with_passes):
    drawn = toy_passes()
    assert np.array_equal(view_with_passes.mask(), drawn["mask"])
    depth, normal = view_with_passes.depth(), view_with_passes.normal()
    assert depth.dtype == normal.dtype == np.float32
    assert np.abs(depth - drawn["depth"]).max() < 6e-5  # m
    assert np.allclose(normal, drawn["normal"], atol=0.01)
    assert np.allclose(np.linalg.norm(normal, axis=-1), 1, atol=1e-6)


def test_the_scale_of_the_depth_is_the_sample_s_own(view_with_passes):
    metadata = view_with_passes.metadata.model_copy(update={"depth_scale": 1e-3})
    assert np.allclose(replace(view_with_passes, metadata=metadata).depth(), 10 * view_with_passes.depth())
    without = replace(view_with_passes, metadata=metadata.model_copy(update={"depth_scale": None}))
    with pytest.raises(IebenchError, match="its metadata lacks depth_scale"):
        without.depth()


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_that_is_not_there_is_told_with_what_makes_it(toy_dataset, name):
    view = next(read_views(toy_dataset, open_dataset(toy_dataset), "val"))
    assert view.passes == {}
    with pytest.raises(
        UsageError, match=f"without a pass '{name}'; `iebench render --passes {name}` makes it"
    ):
        getattr(view, name)()


def test_only_the_passes_asked_for_are_kept_in_memory(tmp_path):
    shard = seal_shard(tmp_path / SHARD, with_passes(toy_samples("03797390", "mug1")), 1)
    for wanted in ((), ("depth",), PASSES):
        assert {tuple(view.passes) for view in read_shard(tmp_path, shard, "rgb", wanted)} == {wanted}
