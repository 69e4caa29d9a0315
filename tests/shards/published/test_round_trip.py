"""What is packed and unpacked again has the same bytes, whatever it was."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands import call
from folders import SIZE, files_of, views_of, write_folder
from shards.images import encode_jpeg
from shards.pack_run import pack
from shards.published.pack import make_pack_plan
from shards.published.unpack import unpack
from shards.reader import read_views
from shards.schema import open_dataset
from shards.variants import VARIANTS
from shards.verify import verify_dataset


class Silence:
    """A progress that nobody watches."""

    def start(self, total, done):
        pass

    def advance(self, views):
        pass

    def failed(self, item, reason):
        raise AssertionError(f"{item}: {reason}")


names = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="/\0"), min_size=1, max_size=12
).filter(lambda name: not name.startswith(".") and name not in ("train_images.npy", "val_images.npy"))


@st.composite
def views(draw, variant, dtype):
    """The bytes of a view's two files."""
    values = []
    for latent in VARIANTS[variant]:
        low, high = draw(st.sampled_from(latent.intervals))
        width = 16 if dtype == "<f2" else 32 if dtype.endswith("4") else 64
        low, high = (
            np.nextafter(np.array(end, dtype), np.array(0, dtype)) if end else np.array(0, dtype)
            for end in (low, high)
        )
        values.append(draw(st.floats(float(low), float(high), width=width)))
    if variant == "ood":  # nextafter towards 0 leaves the interval at its inner end
        values[:3] = [np.sign(value) * max(abs(value), 1.58) for value in values[:3]]
    pixels = np.random.default_rng(draw(st.integers(0, 9))).integers(0, 256, (SIZE, SIZE, 3)).astype(np.uint8)
    chroma = draw(st.sampled_from(["4:2:0", "4:2:2", "4:4:4"]))
    return encode_jpeg(pixels, draw(st.integers(5, 100)), chroma), np.array(values, dtype)


@st.composite
def datasets(draw):
    """Objects by name, each with as many views."""
    variant = draw(st.sampled_from(list(VARIANTS)))
    dtype = draw(st.sampled_from(["<f8", "<f4", "<f2", ">f8"]))
    count = draw(st.integers(1, 3))
    places = draw(st.lists(st.tuples(names, names), min_size=1, max_size=4, unique=True))
    one = st.lists(views(variant, dtype), min_size=count, max_size=count)
    return variant, {place: draw(one) for place in places}


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(datasets(), st.integers(1, 3), st.sampled_from(["rgb", "bgr"]))
def test_pack_and_unpack_give_the_same_bytes_of_every_file(content, objects_per_shard, order):
    variant, objects = content
    with tempfile.TemporaryDirectory() as folder:
        source, packed, back = (Path(folder) / name for name in ("source", "packed", "back"))
        for (synset, name), found in objects.items():
            place = source / synset / name
            place.mkdir(parents=True)
            for view, (jpeg, latents) in enumerate(found):
                (place / f"image_{view}.jpg").write_bytes(jpeg)
                np.save(place / f"latent_{view}.npy", latents)
        plan = make_pack_plan(source, None, variant, None, order, objects_per_shard)
        result = pack(plan, packed, 1, Silence())
        assert not result.failures
        assert list(verify_dataset(packed, open_dataset(packed))) == []
        unpack(packed, result.index, back, 1)
        assert views_of(back) == files_of(source)


def test_the_published_way_of_reading_finds_every_view_of_an_unpacked_dataset(toy_dataset, tmp_path):
    index = open_dataset(toy_dataset)
    unpack(toy_dataset, index, tmp_path / "flat", 1)
    root = f"{tmp_path / 'flat'}/"
    for split in ("train", "val"):
        images = np.load(f"{root}{split}_images.npy")
        labels = np.load(f"{root}{split}_labels.npy")
        assert images.dtype.kind == "U" and images.ndim == 1
        assert labels.dtype == np.int64 and labels.shape == images.shape == (index.splits[split].objects,)
        found = iter(read_views(toy_dataset, index, split))
        for place, label in zip(images, labels, strict=True):
            for number in range(index.views_per_object):
                view = next(found)
                assert place == f"/{view.metadata.synset}/{view.metadata.object}"
                assert label == view.metadata.label
                assert Path(root + place[1:] + f"/image_{number}.jpg").read_bytes() == view.jpeg
                latents = np.load(root + place[1:] + f"/latent_{number}.npy")
                assert latents.dtype == np.float64 and latents.shape == (7,)
                assert tuple(latents.tolist()) == view.metadata.latents
        assert next(found, None) is None


def test_the_lists_of_an_unpacked_dataset_pack_it_with_the_same_splits(toy_dataset, tmp_path):
    flat, packed = tmp_path / "flat", tmp_path / "packed"
    assert call("unpack", toy_dataset, flat, "--workers", "1").code == 0
    (flat / "train_images.npy").rename(tmp_path / "val.npy")  # the other way round than the hash has it
    (flat / "val_images.npy").rename(tmp_path / "train.npy")
    lists = ("--split-files", tmp_path / "train.npy", tmp_path / "val.npy")
    assert call("pack", flat, packed, *lists, "--workers", "1").code == 0
    before, after = open_dataset(toy_dataset), open_dataset(packed)
    assert after.splits["train"].objects == before.splits["val"].objects
    assert [view.jpeg for view in read_views(packed, after, "val")] == [
        view.jpeg for view in read_views(toy_dataset, before, "train")
    ]


def test_files_of_the_published_generator_come_back_byte_for_byte(golden_data, tmp_path):
    """The JPEG files of tests/data/jpg are the published pipeline's own, its latents those of tests/data/golden."""
    source = tmp_path / "source"
    for image in (golden_data / "jpg").rglob("image_*.jpg"):
        place = image.parent.relative_to(golden_data / "jpg")
        (source / place).mkdir(parents=True, exist_ok=True)
        (source / place / image.name).write_bytes(image.read_bytes())
        latents = image.name.replace("image", "latent").replace("jpg", "npy")
        (source / place / latents).write_bytes((golden_data / "golden" / place / latents).read_bytes())
    plan = make_pack_plan(source, channel_order="bgr")
    assert (plan.settings.variant, plan.settings.views, plan.settings.image_size) == ("3diebench", 4, 256)
    result = pack(plan, tmp_path / "packed", 1, Silence())
    unpack(tmp_path / "packed", result.index, tmp_path / "back", 1)
    assert views_of(tmp_path / "back") == files_of(source) and files_of(source)


def test_a_folder_of_another_number_format_keeps_it(tmp_path):
    source = write_folder(tmp_path / "source", dtype="<f4")
    result = pack(make_pack_plan(source), tmp_path / "packed", 1, Silence())
    assert result.index.renderer["latents_dtype"] == "<f4"
    unpack(tmp_path / "packed", result.index, tmp_path / "back", 1)
    assert views_of(tmp_path / "back") == files_of(source)
