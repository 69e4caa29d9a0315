"""Shards as other tools see them, and their bytes."""

import hashlib
import io
import json
import tarfile
from itertools import chain

import numpy as np
import pytest
import webdataset
from PIL import Image

from shards.files import sha256_of
from shards.schema import open_dataset
from shards.writer import encode_members, join_shard, seal_shard, write_samples
from toys import toy_samples


def test_equal_samples_give_equal_bytes(tmp_path, monkeypatch):
    samples = list(toy_samples("03797390", "mug0"))
    first = seal_shard(tmp_path / "first.tar", samples, 1)
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    second = seal_shard(tmp_path / "second.tar", iter(samples), 1)
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()
    assert first.sha256 == second.sha256


def test_the_bytes_of_a_shard_never_change():
    stream = io.BytesIO()
    write_samples(stream, [{"__key__": "a-b-000", "jpg": b"picture", "json": b"{}"}])
    assert hashlib.sha256(stream.getvalue()).hexdigest() == (
        "9d4b6cb9623c859e328d90415a73016702f2f938059aedb6d963729d5f0ed2fb"
    )


def test_the_record_of_a_shard_tells_what_is_on_disk(tmp_path):
    path = tmp_path / "train-000000.tar"
    info = seal_shard(path, toy_samples("03797390", "mug0"), 1)
    assert (info.name, info.bytes, info.sha256) == (path.name, path.stat().st_size, sha256_of(path))
    assert (info.objects, info.views) == (1, 4)


@pytest.mark.parametrize("objects", [1, 2, 7, 30])
def test_joined_members_are_the_bytes_of_a_shard_written_at_once(tmp_path, objects):
    samples = [list(toy_samples("03797390", f"{'木' * number}-mug")) for number in range(objects)]
    whole = seal_shard(tmp_path / "whole.tar", chain(*samples), objects)
    joined = join_shard(tmp_path / "joined.tar", map(encode_members, samples), objects, 4 * objects)
    assert (tmp_path / "joined.tar").read_bytes() == (tmp_path / "whole.tar").read_bytes()
    assert joined == whole.model_copy(update={"name": "joined.tar"})
    assert joined.sha256 == sha256_of(tmp_path / "joined.tar")


def test_a_shard_that_cannot_be_finished_is_not_there(tmp_path):
    def broken():
        yield from toy_samples("03797390", "mug0")
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        seal_shard(tmp_path / "train-000000.tar", broken(), 1)
    assert list(tmp_path.iterdir()) == []


def test_plain_tarfile_reads_a_shard(toy_dataset):
    shard = open_dataset(toy_dataset).splits["train"].shards[0]
    with tarfile.open(toy_dataset / shard.name) as tar:
        members = tar.getmembers()
        assert len(members) == 2 * shard.views
        assert [member.name.rpartition(".")[2] for member in members] == ["jpg", "json"] * shard.views
        assert {(item.mtime, item.uname, item.gname, item.mode) for item in members} == {
            (0, "iebench", "iebench", 0o644)
        }
        metadata = json.load(tar.extractfile(members[1]))
        assert members[0].name == f"{metadata['synset']}-{metadata['object']}-{metadata['view']:03d}.jpg"
        with Image.open(tar.extractfile(members[0])) as image:
            assert image.size == (32, 32)


def test_webdataset_reads_a_shard_as_it_is(toy_dataset):
    shard = open_dataset(toy_dataset).splits["train"].shards[0]
    samples = list(webdataset.WebDataset(str(toy_dataset / shard.name), shardshuffle=False).decode("pil"))
    assert len(samples) == shard.views
    assert samples[0]["jpg"].size == (32, 32)
    assert len(samples[0]["json"]["latents"]) == 7
    assert [sample["json"]["view"] for sample in samples[:4]] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["a.b-c", "x/y", "木", "n" * 120, "100%"])
def test_webdataset_reads_objects_with_difficult_names(tmp_path, name):
    path = tmp_path / "train-000000.tar"
    seal_shard(path, toy_samples("03797390", name), 1)
    samples = list(webdataset.WebDataset(str(path), shardshuffle=False).decode("rgb8"))
    assert [sample["json"]["object"] for sample in samples] == [name] * 4
    assert all(np.shape(sample["jpg"]) == (32, 32, 3) for sample in samples)
