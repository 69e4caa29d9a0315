"""Finished objects on their way into a shard."""

import numpy as np
import pytest

from models import TRIANGLE, write_model
from render.catalog import scan_models
from render.staging import Staging, stage_object
from shards.errors import UsageError
from shards.failures import Failures
from shards.pixels import PixelSums
from shards.sealed import SealedShard
from shards.writer import encode_members, seal_shard
from toys import toy_samples


@pytest.fixture
def objects(tmp_path):
    for name in ("mug0", "mug1", "木" * 80):
        write_model(tmp_path / "models" / "03797390" / name, TRIANGLE)
    return scan_models(tmp_path / "models")


@pytest.fixture
def staging(tmp_path):
    staging = Staging(tmp_path / "out")
    yield staging
    staging.release()


def test_pixel_sums_give_mean_and_deviation_in_any_order():
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)
    forwards = sum((PixelSums.from_image(image) for image in images), start=PixelSums())
    backwards = sum((PixelSums.from_image(image) for image in images[::-1]), start=PixelSums())
    assert forwards == backwards
    mean, std = forwards.mean_and_std()
    assert mean == pytest.approx(images.mean(axis=(0, 1, 2)) / 255, abs=1e-6)
    assert std == pytest.approx(images.std(axis=(0, 1, 2)) / 255, abs=1e-6)


def test_one_color_has_a_deviation_to_divide_by():
    mean, std = PixelSums.from_image(np.full((4, 4, 3), 51, np.uint8)).mean_and_std()
    assert mean == (0.2, 0.2, 0.2) and min(std) > 0


def test_an_object_is_there_once_it_is_staged_and_gone_once_it_is_forgotten(staging, objects):
    for item in objects:
        samples = list(toy_samples(item.synset, item.object_id))
        assert not staging.holds(item)
        stage_object(staging.folder, item, samples, PixelSums(pixels=1), "cuda")
        assert staging.holds(item)
        assert staging.members(item) == encode_members(samples)
        assert (staging.staged(item).pixels.pixels, staging.staged(item).device) == (1, "cuda")
    assert staging.held_among(objects[1:]) == set(objects[1:])
    staging.forget(objects)
    assert not any(staging.holds(item) for item in objects)
    assert list((staging.folder / "objects").iterdir()) == []


def test_an_object_that_ends_half_way_is_not_there(staging, objects):
    def broken():
        yield from toy_samples("03797390", "mug0", views=2)
        raise ValueError

    with pytest.raises(ValueError):
        stage_object(staging.folder, objects[0], broken(), PixelSums(), "cpu")
    assert not staging.holds(objects[0])


def test_a_sealed_shard_counts_only_at_its_full_size(staging):
    path = staging.out / "train-000000.tar"
    record = SealedShard(info=seal_shard(path, toy_samples("03797390", "mug0"), 1))
    assert staging.shards.get(path.name) is None
    staging.shards.record(record)
    assert staging.shards.get(path.name) == record
    path.write_bytes(path.read_bytes()[:-1])
    assert staging.shards.get(path.name) is None


def test_one_process_at_a_time_holds_a_folder(tmp_path):
    first = Staging(tmp_path)
    with pytest.raises(UsageError, match="another process is rendering into"):
        Staging(tmp_path)
    first.release()
    Staging(tmp_path).release()


def test_failures_are_kept_in_catalog_order_and_read_back(tmp_path, objects):
    failures = Failures(tmp_path / "failures.jsonl")
    failures.add(objects[1], "second", 2)
    failures.add(objects[0], "first", 1)
    again = Failures(tmp_path / "failures.jsonl")
    assert [(item.object, item.reason, item.attempts) for item in again] == [
        ("mug0", "first", 1),
        ("mug1", "second", 2),
    ]
    assert objects[0] in again and objects[2] not in again and len(again) == 2


@pytest.mark.parametrize("text", [b"garbage\n", b"{}\n", b"\xff\xfe\n"])
def test_a_list_of_failures_that_cannot_be_read_says_what_to_do(tmp_path, text):
    (tmp_path / "failures.jsonl").write_bytes(text)
    with pytest.raises(UsageError, match=r"failures\.jsonl cannot be read; delete it"):
        Failures(tmp_path / "failures.jsonl")
