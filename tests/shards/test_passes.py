"""Passes survive as PNG, to half a unit, and what is no pass is refused."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from shards.errors import IebenchError, UsageError
from shards.passes import (
    DEPTH_SCALE,
    PASSES,
    decode_depth,
    decode_mask,
    decode_normal,
    encode_pass,
    parse_passes,
    stored_values,
    unit_vectors,
)

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
DIRECTIONS = arrays(np.float32, (4, 3, 3), elements=st.floats(-1, 1, width=32))


@given(arrays(bool, SHAPES))
def test_a_mask_survives_exactly(mask):
    assert np.array_equal(decode_mask(encode_pass("mask", mask), "view"), mask)


@given(arrays(np.float32, SHAPES, elements=st.floats(0, 6.5, width=32)))
def test_a_depth_survives_to_half_a_unit(depth):
    decoded = decode_depth(encode_pass("depth", depth), DEPTH_SCALE, "view")
    assert decoded.dtype == np.float32
    assert np.abs(decoded - depth).max() <= 0.51 * DEPTH_SCALE


@pytest.mark.parametrize("depth", [6.5535, 7.0, 1e10, np.inf, np.nan])
def test_what_is_too_far_to_be_stored_is_infinitely_far(depth):
    stored = encode_pass("depth", np.full((2, 2), depth))
    assert np.isinf(decode_depth(stored, DEPTH_SCALE, "view")).all()


@given(DIRECTIONS)
def test_a_normal_survives_to_half_a_degree(directions):
    normal = unit_vectors(directions)
    decoded = decode_normal(encode_pass("normal", normal), "view")
    given_one = np.linalg.norm(normal, axis=-1) > 0.5
    cosine = np.clip((decoded * normal).sum(axis=-1)[given_one], -1, 1)
    assert (np.degrees(np.arccos(cosine)) < 0.5).all()
    assert not decoded[~given_one].any()


@pytest.mark.parametrize("axis", range(3))
@pytest.mark.parametrize("sign", [-1, 1])
def test_the_axes_survive_exactly(axis, sign):
    normal = np.zeros((2, 2, 3))
    normal[..., axis] = sign
    assert np.array_equal(decode_normal(encode_pass("normal", normal), "view"), normal)


def test_the_pngs_are_what_other_software_expects():
    values = {"mask": np.eye(2, dtype=bool), "depth": np.full((2, 2), 1.0), "normal": np.ones((2, 2, 3))}
    images = {name: Image.open(io.BytesIO(encode_pass(name, values[name]))) for name in PASSES}
    assert {name: image.format for name, image in images.items()} == dict.fromkeys(PASSES, "PNG")
    assert np.array(images["mask"]).tolist() == [[255, 0], [0, 255]]
    assert np.array(images["depth"]).tolist() == [[10000, 10000], [10000, 10000]]
    assert images["normal"].mode == "RGB" and np.array(images["normal"])[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize("name", PASSES)
@pytest.mark.parametrize("damage", ["empty", "cut", "jpeg", "another pass"])
def test_what_is_no_pass_is_refused_in_one_sentence(name, damage):
    values = {"mask": np.eye(9, dtype=bool), "depth": np.ones((9, 9)), "normal": np.ones((9, 9, 3))}
    other = PASSES[PASSES.index(name) - 1]
    jpeg = io.BytesIO()
    Image.new("RGB", (9, 9)).save(jpeg, "JPEG")
    data = {
        "empty": b"",
        "cut": encode_pass(name, values[name])[:-30],
        "jpeg": jpeg.getvalue(),
        "another pass": encode_pass(other, values[other]),
    }[damage]
    with pytest.raises(
        IebenchError, match=rf"^view: its \.{name}\.png is no (8|16)-bit \w+ PNG that decodes; "
    ):
        stored_values(name, data, "view")


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("mask", ("mask",)),
        ("mask,depth,normal", PASSES),
        (" normal , mask,normal", ("mask", "normal")),
    ],
)
def test_passes_are_named_in_any_order(text, passes):
    assert parse_passes(text) == passes


@pytest.mark.parametrize("text", ["", "color", "mask,", "mask;depth", "Depth"])
def test_an_unknown_pass_is_refused_with_those_there_are(text):
    with pytest.raises(UsageError, match=r"^there is no pass '.*'; there are: mask, depth, normal$"):
        parse_passes(text)
