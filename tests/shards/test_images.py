"""JPEG in and out."""

import colorsys
import io
from pathlib import Path

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
def test_colors_survive_so_that_hue_can_be_a_latent(hue):
    color = 255 * np.array(colorsys.hsv_to_rgb(hue, 0.6, 0.6))
    pixels = np.broadcast_to(color.astype(np.uint8), (16, 16, 3)).copy()
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


@pytest.mark.parametrize(
    "path",
    sorted((Path(__file__).parents[1] / "data" / "jpg").glob("*/*/*.jpg")),
    ids=lambda path: path.parent.name + path.stem,
)
def test_published_files_decode_to_the_pixels_that_pillow_gives(path):
    data = path.read_bytes()
    with Image.open(path) as image:
        expected = np.array(image)
    assert np.array_equal(decode_jpeg(data, "x"), expected)
    assert np.array_equal(decode_jpeg(data, "x", "bgr"), expected[..., ::-1])


@pytest.mark.parametrize("chroma", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("size", [(32, 32), (33, 47)])
def test_any_subsampling_decodes_to_the_pixels_that_pillow_gives(chroma, size):
    data = encode_jpeg(np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8), chroma=chroma)
    with Image.open(io.BytesIO(data)) as image:
        assert np.array_equal(decode_jpeg(data, "x"), np.array(image))


def test_channels_that_are_stored_swapped_come_back_as_they_were():
    pixels = np.zeros((16, 16, 3), np.uint8)
    pixels[..., 0] = 250
    assert np.array_equal(
        decode_jpeg(encode_jpeg(pixels, channel_order="bgr"), "x", "bgr")[..., 0] > 200, pixels[..., 0] > 200
    )


def test_an_array_to_decode_into_gets_the_pixels():
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    batch = np.zeros((3, 32, 32, 3), np.uint8)
    decode_jpeg(encode_jpeg(pixels), "x", out=batch[1])
    assert np.array_equal(batch[1], decode_jpeg(encode_jpeg(pixels), "x"))
    assert not batch[0].any() and not batch[2].any()


@pytest.mark.parametrize("size", [(16, 16), (16, 64), (64, 64), (31, 33)])
def test_an_image_of_another_size_than_the_array_is_refused(size):
    data = encode_jpeg(np.zeros((*size, 3), np.uint8))
    with pytest.raises(IebenchError, match="mug-000: its JPEG"):
        decode_jpeg(data, "mug-000", out=np.zeros((32, 32, 3), np.uint8))


def test_a_jpeg_that_says_it_is_huge_is_refused_by_its_header():
    data = bytearray(encode_jpeg(np.zeros((32, 32, 3), np.uint8)))
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = (65500).to_bytes(2, "big") * 2
    with pytest.raises(IebenchError, match=r"mug-000: its JPEG does not decode \(it has 65500 x 65500 px"):
        decode_jpeg(bytes(data), "mug-000")
