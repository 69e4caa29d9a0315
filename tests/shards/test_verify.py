"""Whatever is not as the index and the contract say is found and named."""

import io
import json
import random
import tarfile

import numpy as np
import pytest
from PIL import Image

from shards.errors import IebenchError
from shards.images import encode_jpeg
from shards.passes import PASSES, encode_pass
from shards.schema import INDEX_NAME
from shards.verify import load_for_verification, verify_dataset
from shards.writer import Sample
from toys import reseal, rewrite_index, toy_passes, toy_samples, with_passes

SHARD = "train-000000.tar"
MUG = "03797390-mug1"


def problems(folder) -> list[str]:
    return [str(problem) for problem in verify_dataset(folder, load_for_verification(folder))]


def samples_with(changed: int, **metadata: object) -> list[Sample]:
    """The views of a mug, with other metadata for one of them."""
    samples = list(toy_samples("03797390", "mug1"))
    samples[changed]["json"] = json.dumps({**json.loads(samples[changed]["json"]), **metadata}).encode()
    return samples


def test_a_whole_dataset_has_no_problem_and_every_view_is_counted(toy_dataset):
    index = load_for_verification(toy_dataset)
    counted = []
    assert list(verify_dataset(toy_dataset, index, counted.append)) == []
    assert sum(counted) == sum(split.views for split in index.splits.values())


def test_a_resealed_shard_that_keeps_the_contract_has_no_problem(toy_copy):
    reseal(toy_copy, SHARD, samples_with(0), objects=1)
    assert problems(toy_copy) == []


@pytest.mark.parametrize("seed", range(60))
def test_any_flipped_bit_is_found(toy_copy, seed):
    shard = toy_copy / SHARD
    data = bytearray(shard.read_bytes())
    place = random.Random(seed).randrange(8 * len(data))
    data[place // 8] ^= 1 << place % 8
    shard.write_bytes(data)
    found = problems(toy_copy)
    assert f"{SHARD}: its SHA-256 is not the one in dataset.json: its bytes were altered" in found
    assert all(problem.startswith(SHARD) for problem in found)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.9])
def test_truncation_is_found(toy_copy, share):
    shard = toy_copy / SHARD
    size = shard.stat().st_size
    shard.write_bytes(shard.read_bytes()[: int(size * share)])
    found = problems(toy_copy)
    assert found[0] == f"{SHARD}: it has {int(size * share):,} bytes and should have {size:,}"
    assert len(found) > 1  # the samples that are missing are told too


@pytest.mark.parametrize("extension", ["jpg", "json"])
def test_a_missing_member_is_found(toy_copy, extension):
    samples = samples_with(0)
    del samples[2][extension]
    reseal(toy_copy, SHARD, samples, objects=1)
    assert f"{SHARD}, sample {MUG}-002: member .{extension} is missing" in problems(toy_copy)


def test_an_added_member_is_found(toy_copy):
    samples = [*samples_with(0), {"__key__": "added", "json": b"{}"}]
    reseal(toy_copy, SHARD, samples, objects=1)
    assert f"{SHARD}, sample added: member .jpg is missing" in problems(toy_copy)


def test_members_added_without_the_index_are_found(toy_copy):
    with tarfile.open(toy_copy / SHARD, "a") as tar:
        for sample in toy_samples("03797390", "mug1", views=1):
            member = tarfile.TarInfo("03797390-mug99-000.jpg")
            member.size = len(sample["jpg"])
            tar.addfile(member, io.BytesIO(sample["jpg"]))
    found = problems(toy_copy)
    assert f"{SHARD}, sample 03797390-mug99-000: member .json is missing" in found
    assert found[-1].startswith(f"{SHARD}: it holds 21 views")


def test_a_missing_view_is_found(toy_copy):
    reseal(
        toy_copy,
        SHARD,
        [sample for sample in samples_with(0) if not sample["__key__"].endswith("-001")],
        objects=1,
    )
    assert f"{SHARD}, sample {MUG}-002: view 2 stands where view 1 should" in problems(toy_copy)


def test_a_missing_last_view_is_found(toy_copy):
    reseal(toy_copy, SHARD, [*samples_with(0)[:3], *toy_samples("03797390", "mug2")], objects=2)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-002: its object ends here and should have 4 views"]
    reseal(toy_copy, SHARD, samples_with(0)[:3], objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-002: its object ends here and should have 4 views"]


def test_a_view_too_many_is_found(toy_copy):
    reseal(toy_copy, SHARD, list(toy_samples("03797390", "mug1", views=5)), objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-004: an object has views 0 to 3"]


def test_views_out_of_order_are_found(toy_copy):
    samples = samples_with(0)
    samples[1], samples[2] = samples[2], samples[1]
    reseal(toy_copy, SHARD, samples, objects=1)
    found = problems(toy_copy)
    assert f"{SHARD}, sample {MUG}-002: view 2 stands where view 1 should" in found
    assert f"{SHARD}, sample {MUG}-001: view 1 stands where view 3 should" in found


def test_an_object_whose_views_are_apart_is_found(toy_copy):
    first, second = samples_with(0), list(toy_samples("03797390", "mug2"))
    reseal(toy_copy, SHARD, [*first[:2], *second, *first[2:]], objects=3)
    assert f"{SHARD}, sample {MUG}-002: its object's views do not stand together" in problems(toy_copy)


LATENTS = json.loads(samples_with(0)[1]["json"])["latents"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"latents": [2.0, *LATENTS[1:]]}, "rotation_x is 2, out of its range"),
        ({"latents": [*LATENTS[:6], float("nan")]}, "light_hue is nan, out of its range"),
        ({"latents": LATENTS[:6]}, "it has 6 latents and should have 7"),
        ({"label": 0}, "label 0 is not that of synset 03797390"),
        ({"synset": "02876657"}, "its metadata says that it is 02876657-mug1-001"),
        ({"object": "mug3"}, "its metadata says that it is 03797390-mug3-001"),
        ({"view": 7}, "view 7 stands where view 1 should"),
        ({"view": "x"}, "its metadata cannot be read (view: Input should be a valid integer"),
        ({"colour": 1}, "its metadata cannot be read (colour: Extra inputs are not permitted)"),
    ],
)
def test_metadata_that_breaks_the_contract_is_found(toy_copy, metadata, said):
    reseal(toy_copy, SHARD, samples_with(1, **metadata), objects=1)
    assert any(problem.startswith(f"{SHARD}, sample {MUG}-001: {said}") for problem in problems(toy_copy))


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (encode_jpeg(np.zeros((16, 32, 3), np.uint8)), "it is 32 x 16 px and should be 32 px square"),
        (encode_jpeg(np.zeros((64, 64, 3), np.uint8)), "it is 64 x 64 px and should be 32 px square"),
        (b"", "its JPEG does not decode"),
        (encode_jpeg(np.zeros((32, 32, 3), np.uint8))[:-200], "its JPEG does not decode"),
    ],
)
def test_a_picture_that_breaks_the_contract_is_found(toy_copy, picture, said):
    samples = samples_with(0)
    samples[3]["jpg"] = picture
    reseal(toy_copy, SHARD, samples, objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-003: {said}"]


def test_a_png_called_jpg_is_found(toy_copy):
    samples, png = samples_with(0), io.BytesIO()
    Image.new("RGB", (32, 32)).save(png, "PNG")
    samples[0]["jpg"] = png.getvalue()
    reseal(toy_copy, SHARD, samples, objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-000: its JPEG does not decode"]


def test_a_missing_and_an_unknown_shard_are_found(toy_copy):
    (toy_copy / SHARD).rename(toy_copy / "extra.tar")
    assert problems(toy_copy) == ["extra.tar: dataset.json does not know it", f"{SHARD}: it is missing"]


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("bytes", 5, "bytes and should have 5"),
        ("sha256", "0" * 64, "its SHA-256 is not the one in dataset.json"),
        ("objects", 6, "it holds 20 views of 5 objects and should hold 20 of 6"),
        ("views", 24, "it holds 20 views of 5 objects and should hold 24 of 5"),
    ],
)
def test_an_index_that_disagrees_with_a_shard_is_found(toy_copy, field, value, said):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    content["splits"]["train"]["shards"][0][field] = value
    rewrite_index(toy_copy, content)
    assert any(problem.startswith(SHARD) and said in problem for problem in problems(toy_copy))


@pytest.mark.parametrize("total", ["objects", "views"])
def test_an_index_whose_totals_disagree_is_found(toy_copy, total):
    content = json.loads((toy_copy / INDEX_NAME).read_text())
    content["splits"]["val"][total] += 1
    rewrite_index(toy_copy, content)
    assert problems(toy_copy) == [f"{INDEX_NAME}: the {total} of the val shards do not add up to its total"]


def test_a_dataset_without_an_index_cannot_be_verified(tmp_path):
    with pytest.raises(IebenchError, match=r"dataset\.json is not a dataset index that can be read"):
        load_for_verification(tmp_path)


def reseal_with_passes(folder, samples: list[Sample], passes=PASSES) -> None:
    """A dataset whose only shard has passes, and says so."""
    reseal(folder, SHARD, samples, objects=1)
    content = json.loads((folder / INDEX_NAME).read_text())
    train = content["splits"]["train"]
    train["shards"] = [shard for shard in train["shards"] if shard["name"] == SHARD]
    train.update(objects=1, views=len(samples))
    content["splits"]["val"] = {"shards": [], "objects": 0, "views": 0}
    for path in folder.glob("*.tar"):
        if path.name != SHARD:
            path.unlink()
    rewrite_index(folder, {**content, "passes": list(passes)})


@pytest.mark.parametrize("passes", [PASSES, ("mask",), ("depth",), ("mask", "normal")])
def test_passes_that_the_index_tells_of_are_no_problem(toy_copy, passes):
    reseal_with_passes(toy_copy, list(with_passes(samples_with(0), passes)), passes)
    assert problems(toy_copy) == []


@pytest.mark.parametrize("name", PASSES)
def test_a_missing_and_an_unexpected_pass_are_found(toy_copy, name):
    samples = list(with_passes(samples_with(0)))
    del samples[2][f"{name}.png"]
    reseal_with_passes(toy_copy, samples)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-002: member .{name}.png is missing"]
    samples = samples_with(0)
    samples[1][f"{name}.png"] = b""
    reseal_with_passes(toy_copy, samples, ())
    said = f"member .{name}.png should not be there: {INDEX_NAME} does not know it"
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-001: {said}"]


@pytest.mark.parametrize("name", PASSES)
def test_a_pass_of_another_size_or_kind_is_found(toy_copy, name):
    samples = list(with_passes(samples_with(0)))
    other = PASSES[PASSES.index(name) - 1]
    samples[0][f"{name}.png"] = encode_pass(name, np.repeat(toy_passes()[name], 2, axis=1))
    samples[1][f"{name}.png"] = samples[1][f"{other}.png"]
    samples[2][f"{name}.png"] = samples[2][f"{name}.png"][:-20]
    reseal_with_passes(toy_copy, samples)
    first, second, third = problems(toy_copy)
    said = f"its .{name}.png is 64 x 32 px and should be 32 px square"
    assert first == f"{SHARD}, sample {MUG}-000: {said}"
    for number, problem in ((1, second), (2, third)):
        assert problem.startswith(f"{SHARD}, sample {MUG}-00{number}: its .{name}.png is no ")
        assert problem.endswith("PNG that decodes")


def test_a_depth_without_its_scale_and_a_scale_without_depth_are_found(toy_copy):
    samples = list(with_passes(samples_with(0)))
    samples[3]["json"] = samples_with(0)[3]["json"]
    reseal_with_passes(toy_copy, samples)
    assert problems(toy_copy) == [
        f"{SHARD}, sample {MUG}-003: its metadata has no depth_scale, which the depth pass needs"
    ]
    samples = list(with_passes(samples_with(0), ("mask",)))
    samples[0]["json"] = next(iter(with_passes(samples_with(0))))["json"]
    reseal_with_passes(toy_copy, samples, ("mask",))
    assert problems(toy_copy) == [
        f"{SHARD}, sample {MUG}-000: its metadata has a depth_scale and there is no depth pass"
    ]
