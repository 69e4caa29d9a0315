"""JPEG in and out."""

import colorsys
import io

import numpy as np
import pytest
from PIL import Image

from shards.errors import IebenchError
from shards.images import decode_jpeg, encode_jpeg


def test_a_view_is_a_jpeg_of_quality_95_without_chroma_subsampling():
    data = encode_jpeg(np.zeros((32, 32, 3), np.uint8))
    with Image.open(io.BytesIO(data)) as image:
        reference = io.BytesIO()
        Image.new("RGB", (32, 32)).save(reference, "JPEG", quality=95, subsampling=0)
        reference.seek(0)
        with Image.open(reference) as expected:
            assert image.quantization == expected.quantization
        assert {layer[1:3] for layer in image.layer} == {(1, 1)}


@pytest.mark.parametrize("hue", np.linspace(0, 1, 12, endpoint=False))
def test_colours_survive_so_that_hue_can_be_a_latent(hue):
    colour = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.6, 0.6))
    pixels = np.broadcast_to(colour.astype(np.uint8), (16, 16, 3)).copy()
    assert np.abs(decode_jpeg(encode_jpeg(pixels), "x").astype(int) - pixels).max() <= 2


def test_red_stays_red():
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 0] = 250
    red, green, blue = decode_jpeg(encode_jpeg(pixels), "x").mean(axis=(0, 1))
    assert red > 200 and green < 10 and blue < 10


@pytest.mark.parametrize("what", ["empty", "cut", "png", "garbage"])
def test_what_is_no_whole_jpeg_is_refused_by_the_samples_name(what):
    whole = encode_jpeg(np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8))
    png = io.BytesIO()
    Image.new("RGB", (8, 8)).save(png, "PNG")
    data = {
        "empty": b"",
        "cut": whole[: len(whole) // 2],
        "png": png.getvalue(),
        "garbage": b"\xff\xd8" * 99,
    }[what]
    with pytest.raises(IebenchError, match="mug-000: its JPEG does not decode"):
        decode_jpeg(data, "mug-000")
