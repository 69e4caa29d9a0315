"""A sample that breaks the dataset format is found and named, and so is one in the wrong place."""

import io
import json
import struct

import numpy as np
import pytest
from PIL import Image

from faults import MUG, SHARD, checked, problems, reseal_with_passes, samples_with
from shards.images import encode_jpeg
from shards.passes import PASSES, encode_pass
from shards.schema import INDEX_NAME, SampleMetadata
from toys import reseal, toy_passes, toy_samples, with_passes


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


def test_a_missing_view_is_found(toy_copy):
    reseal(
        toy_copy,
        SHARD,
        [sample for sample in samples_with(0) if not sample["__key__"].endswith("-001")],
        objects=1,
    )
    assert f"{SHARD}, sample {MUG}-002: view 2 stands where view 1 should" in problems(toy_copy)


def test_a_missing_last_view_is_found(toy_copy):
    reseal(toy_copy, SHARD, [*samples_with(0)[:3], *toy_samples("03797390", "mug92")], objects=2)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-002: its object ends here and should have 4 views"]
    reseal(toy_copy, SHARD, samples_with(0)[:3], objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-002: its object ends here and should have 4 views"]


def test_a_view_too_many_is_found(toy_copy):
    reseal(toy_copy, SHARD, list(toy_samples("03797390", "mug91", views=5)), objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-004: an object has views 0 to 3"]


def test_views_out_of_order_are_found(toy_copy):
    samples = samples_with(0)
    samples[1], samples[2] = samples[2], samples[1]
    reseal(toy_copy, SHARD, samples, objects=1)
    found = problems(toy_copy)
    assert f"{SHARD}, sample {MUG}-002: view 2 stands where view 1 should" in found
    assert f"{SHARD}, sample {MUG}-001: view 1 stands where view 3 should" in found


def test_an_object_whose_views_are_apart_is_found(toy_copy):
    first, second = samples_with(0), list(toy_samples("03797390", "mug92"))
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
        ({"synset": "02876657"}, "its metadata says that it is 02876657-mug91-001"),
        ({"object": "mug93"}, "its metadata says that it is 03797390-mug93-001"),
        ({"view": 7}, "its metadata says that it is 03797390-mug91-007"),
        ({"view": "x"}, "its metadata cannot be read (view: Input should be a valid integer"),
        ({"color": 1}, "its metadata cannot be read (color: Extra inputs are not permitted)"),
    ],
)
def test_metadata_that_breaks_the_dataset_format_is_found(toy_copy, metadata, said):
    reseal(toy_copy, SHARD, samples_with(1, **metadata), objects=1)
    found = problems(toy_copy)
    assert len(found) <= 2 and any(
        problem.startswith(f"{SHARD}, sample {MUG}-001: {said}") for problem in found
    )


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (encode_jpeg(np.zeros((16, 32, 3), np.uint8)), "it is 32 x 16 px and should be 32 px square"),
        (encode_jpeg(np.zeros((64, 64, 3), np.uint8)), "it is 64 x 64 px and should be 32 px square"),
        (b"", "its JPEG does not decode"),
        (encode_jpeg(np.zeros((32, 32, 3), np.uint8))[:-200], "its JPEG does not decode"),
    ],
)
def test_a_picture_that_breaks_the_dataset_format_is_found(toy_copy, picture, said):
    samples = samples_with(0)
    samples[3] = checked(samples[3], jpg=picture)
    reseal(toy_copy, SHARD, samples, objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-003: {said}"]


def test_a_png_called_jpg_is_found(toy_copy):
    samples, png = samples_with(0), io.BytesIO()
    Image.new("RGB", (32, 32)).save(png, "PNG")
    samples[0] = checked(samples[0], jpg=png.getvalue())
    reseal(toy_copy, SHARD, samples, objects=1)
    assert problems(toy_copy) == [f"{SHARD}, sample {MUG}-000: its JPEG does not decode"]


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
    wide = encode_pass(name, np.repeat(toy_passes()[name], 2, axis=1))
    samples[0] = checked(samples[0], **{f"{name}_png": wide})
    samples[1] = checked(samples[1], **{f"{name}_png": samples[1][f"{other}.png"]})
    samples[2] = checked(samples[2], **{f"{name}_png": samples[2][f"{name}.png"][:-20]})
    reseal_with_passes(toy_copy, samples)
    first, second, third = problems(toy_copy)
    said = f"its .{name}.png is 64 x 32 px and should be 32 px square"
    assert first == f"{SHARD}, sample {MUG}-000: {said}"
    for number, problem in ((1, second), (2, third)):
        assert problem.startswith(f"{SHARD}, sample {MUG}-00{number}: its .{name}.png is no ")
        assert problem.endswith("PNG that decodes")


def test_a_depth_without_its_scale_and_a_scale_without_depth_are_found(toy_copy):
    samples = list(with_passes(samples_with(0)))
    samples[3]["json"] = SampleMetadata.model_validate_json(samples_with(0)[3]["json"]).encode()
    reseal_with_passes(toy_copy, samples)
    assert problems(toy_copy) == [
        f"{SHARD}, sample {MUG}-003: its metadata has no depth_scale, which the depth pass needs"
    ]
    samples = list(with_passes(samples_with(0), ("mask",)))
    samples[0]["json"] = SampleMetadata.model_validate_json(
        next(with_passes(samples_with(0)))["json"]
    ).encode()
    reseal_with_passes(toy_copy, samples, ("mask",))
    assert problems(toy_copy) == [
        f"{SHARD}, sample {MUG}-000: its metadata has a depth_scale and there is no depth pass"
    ]


def test_a_picture_said_to_be_huge_is_told_without_being_decoded(toy_copy):
    samples = list(with_passes(samples_with(0)))
    jpeg, png = bytearray(samples[0]["jpg"]), bytearray(samples[0]["mask.png"])
    size = jpeg.index(b"\xff\xc0") + 5
    jpeg[size : size + 4] = struct.pack(">HH", 60_000, 60_000)
    png[16:24] = struct.pack(">II", 60_000, 60_000)
    samples[0] = checked(samples[0], jpg=bytes(jpeg), mask_png=bytes(png))
    reseal_with_passes(toy_copy, samples)
    said = "60000 x 60000 px and should be 32 px square"
    assert problems(toy_copy) == [
        f"{SHARD}, sample {MUG}-000: it is {said}",
        f"{SHARD}, sample {MUG}-000: its .mask.png is {said}",
    ]


def test_a_sample_that_cannot_be_read_does_not_make_the_others_look_misplaced(toy_copy):
    samples = samples_with(1, view="x")
    del samples[0]["jpg"]
    reseal(toy_copy, SHARD, samples, objects=1)
    assert [problem.split(": ")[0] for problem in problems(toy_copy)] == [
        f"{SHARD}, sample {MUG}-000",
        f"{SHARD}, sample {MUG}-001",
    ]
