"""What `iebench render` is told about views ends in the shards and in dataset.json."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import SMALL, call
from geometry import seen, write_ellipsoid
from render.catalog import scan_models
from render.latents import ExplicitLatents, read_latents
from render.settings import PRESETS
from shards.images import decode_jpeg
from shards.passes import PASSES
from shards.reader import View, read_views
from shards.schema import DatasetIndex, open_dataset
from shards.variants import VARIANTS

pytestmark = pytest.mark.blender

TINY = ["--views", "2", "--size", "16", "--samples", "1", "--denoiser", "none", "--workers", "1"]
RED = [
    *("--range", "rotation_z=-pi:-3*pi/4,3*pi/4:pi"),
    *("--range", "floor_hue=0:0.01", "--range", "light_hue=0:0.01"),
]


def rendered(models: Path, out: Path, *options: str | Path) -> tuple[DatasetIndex, list[View]]:
    """A dataset that `iebench verify` finds whole, and its views."""
    result = call("render", models, out, *options)
    assert result.code == 0, result.err
    assert call("verify", out, "--workers", "1").code == 0
    index = open_dataset(out)
    filled = [name for name, split in index.splits.items() if split.views]
    return index, [view for name in filled for view in read_views(out, index, name)]


@pytest.fixture(scope="module")
def egg(tmp_path_factory) -> Path:
    """A catalogue of one ellipsoid."""
    folder = tmp_path_factory.mktemp("models")
    write_ellipsoid(folder / "03797390" / "egg", (0.55, 0.25, 0.4), rings=64)
    return folder


@pytest.fixture(scope="module")
def red(egg, tmp_path_factory) -> tuple[Path, DatasetIndex, list[View]]:
    """Folder, index and views of the egg on a red floor in red light, upside down; not to be changed."""
    out = tmp_path_factory.mktemp("red") / "views"
    return (out, *rendered(egg, out, *TINY, *RED))


@pytest.fixture(scope="module")
def outside(egg, tmp_path_factory) -> tuple[DatasetIndex, list[View]]:
    """Index and views outside the training range, by a preset that the command overrides."""
    out = tmp_path_factory.mktemp("outside") / "views"
    return rendered(egg, out, "--preset", "reference", *TINY, "--variant", "ood")


def are_in_their_ranges(index: DatasetIndex, views: list[View]) -> bool:
    """Whether all latents lie where the index says."""
    return all(
        latent.contains(value)
        for view in views
        for latent, value in zip(index.latents, view.metadata.latents, strict=True)
    )


def test_passes_stand_beside_each_view_and_are_those_of_its_latents(egg, tmp_path):
    options = [
        *TINY[:2],
        "--size",
        "32",
        *TINY[4:],
        "--variant",
        "translated",
        "--passes",
        "normal,depth,mask",
    ]
    index, views = rendered(egg, tmp_path / "views", *options)
    assert index.variant == "translated" and index.latents == VARIANTS["translated"]
    assert len(views) == 2 and are_in_their_ranges(index, views)
    assert index.passes == PASSES and index.renderer["render"]["passes"] == list(PASSES)
    for view in views:
        truth = seen((0.55, 0.25, 0.4), np.array(view.metadata.latents), 32)
        sure = truth.clearance > 0.05
        assert np.array_equal(view.mask()[sure], truth.mask[sure])
        assert np.abs(view.depth() - truth.depth)[sure].max() < 2.5e-3  # m
        cosine = (view.normal() * truth.normal).sum(axis=-1)
        assert np.median(np.degrees(np.arccos(np.clip(cosine, -1, 1)))) < 0.5
    card = (tmp_path / "views" / "README.md").read_text()
    assert all(f"`.{name}.png`" in card for name in PASSES)


def test_passes_leave_the_other_members_as_they_are(rendered_dataset, toy_models, tmp_path):
    index, views = rendered(toy_models, tmp_path / "views", *SMALL, "--passes", "mask")
    plain = open_dataset(rendered_dataset)
    assert index.channel_mean == plain.channel_mean
    before = [view for name in plain.splits for view in read_views(rendered_dataset, plain, name)]
    assert [view.jpeg for view in views] == [view.jpeg for view in before]
    assert [view.metadata.encode() for view in views] == [view.metadata.encode() for view in before]
    refused = call("render", toy_models, tmp_path / "views", *SMALL, "--passes", "depth")
    assert refused.code == 2 and 'passes ["mask"], not ["depth"]' in refused.error


def test_without_passes_nothing_tells_of_them(rendered_dataset):
    index = open_dataset(rendered_dataset)
    assert index.passes == ()
    assert all(not view.passes for view in read_views(rendered_dataset, index, "train"))
    assert "depth_scale" not in next(read_views(rendered_dataset, index, "train")).metadata.encode().decode()
    card = (rendered_dataset / "README.md").read_text()
    assert not any(f"{name}.png" in card for name in ("mask", "depth", "normal"))


@pytest.mark.parametrize("text", ["mask,color", "", "depth;mask"])
def test_an_unknown_pass_is_one_sentence(toy_models, tmp_path, text):
    result = call("render", toy_models, tmp_path / "views", "--passes", text)
    assert result.code == 2
    assert result.error.startswith("there is no pass ") and "mask, depth, normal" in result.error
    assert not (tmp_path / "views").exists()


def test_a_variant_has_its_latents_in_their_ranges(outside):
    index, views = outside
    assert index.variant == "ood" and index.latents == VARIANTS["ood"]
    assert len(views) == 2 and are_in_their_ranges(index, views)
    assert all(abs(value) >= np.pi / 2 for view in views for value in view.metadata.latents[:3])


def test_a_range_is_drawn_from_and_recorded(egg, red):
    out, index, views = red
    by_name = {latent.name: latent.intervals for latent in index.latents}
    assert by_name["rotation_z"] == ((-np.pi, -3 * np.pi / 4), (3 * np.pi / 4, np.pi))
    assert by_name["floor_hue"] == ((0.0, 0.01),)
    assert by_name["rotation_x"] == VARIANTS["3diebench"][0].intervals
    assert all(abs(view.metadata.latents[2]) >= 3 * np.pi / 4 for view in views)
    assert all(0.0 <= view.metadata.latents[3] <= 0.01 for view in views)
    refused = call("render", egg, out, *TINY, *RED[:2])
    assert refused.code == 2 and "choose another folder or the same settings" in refused.error


def test_a_range_of_an_unknown_latent_is_one_sentence(egg, tmp_path):
    result = call("render", egg, tmp_path / "views", *TINY, "--range", "translation_x=0:1")
    assert result.code == 2 and "there is no latent 'translation_x' in this variant" in result.error


def write_table(path: Path, models: Path, views: int) -> ExplicitLatents:
    """Latents for half of the models, such that no decimal notation of few digits holds them."""
    generator = np.random.default_rng(5)
    rows = [
        (f"{item.synset}/{item.object_id}", view, tuple(generator.normal(size=7)))
        for item in scan_models(models)[::2]
        for view in range(views)
    ]
    if path.suffix == ".csv":
        names = ",".join(latent.name for latent in VARIANTS["3diebench"])
        lines = [f"{name},{view},{','.join(map(repr, values))}" for name, view, values in rows]
        path.write_text("\n".join([f"object,view,{names}", *lines]).replace("np.float64", ""))
    else:
        np.save(path, np.array(rows, dtype=[("object", "U64"), ("view", "i8"), ("latents", "f8", (7,))]))
    return read_latents(path, VARIANTS["3diebench"])


def test_explicit_latents_stand_exactly_in_the_shards(toy_models, tmp_path):
    paths, out = [tmp_path / f"latents.{kind}" for kind in ("csv", "npy")], tmp_path / "views"
    table, _ = (write_table(path, toy_models, views=3) for path in paths)
    index, views = rendered(toy_models, out, *TINY[2:], "--latents", paths[0])
    assert index.views_per_object == 3 and index.renderer["latents_sha256"] == table.sha256
    assert {(view.metadata.synset, view.metadata.object) for view in views} == set(table.values)
    for view in views:
        metadata = view.metadata
        wanted = table.values[metadata.synset, metadata.object][metadata.view]
        assert np.array(metadata.latents).tobytes() == wanted.tobytes()
    assert {latent.name: latent.intervals for latent in index.latents} == table.ranges(VARIANTS["3diebench"])

    for path in paths:  # which say the same
        assert "nothing was missing" in call("render", toy_models, out, *TINY[2:], "--latents", path).out
        other = path.with_stem("other")
        write_table(other, toy_models, views=2)
        refused = call("render", toy_models, out, *TINY[2:], "--latents", other)
        assert refused.code == 2 and "choose another folder or the same settings" in refused.error


def test_latents_of_an_object_that_is_not_there_are_one_sentence(toy_models, egg, tmp_path):
    write_table(tmp_path / "latents.csv", toy_models, views=1)
    result = call("render", egg, tmp_path / "views", "--latents", tmp_path / "latents.csv")
    assert result.code == 2 and "the models lack 4 of the objects asked for, such as " in result.error


def test_bgr_swaps_red_and_blue_as_the_published_images_have_them(egg, red, tmp_path):
    _, rgb, straight = red
    bgr, swapped = rendered(egg, tmp_path / "bgr", *TINY, *RED, "--channel-order", "bgr")
    assert (rgb.channel_order, bgr.channel_order) == ("rgb", "bgr")
    for one, other in zip(straight, swapped, strict=True):
        assert one.pixels()[..., 0].mean() > one.pixels()[..., 2].mean() + 30
        stored = decode_jpeg(other.jpeg, "view").astype(int)
        assert np.array_equal(stored[..., ::-1], other.pixels())  # readers swap back
        first = one.pixels().astype(int)
        swapped_back = np.abs(first - stored[..., ::-1]).mean()  # not 0: JPEG rounds the noise of one sample
        assert swapped_back < np.abs(first - stored).mean() / 4
    assert bgr.channel_mean == pytest.approx(rgb.channel_mean, abs=0.01)
    assert "red and blue swapped" in (tmp_path / "bgr" / "README.md").read_text()


@pytest.mark.parametrize(("preset", "sampling"), [("reference", "4:2:0"), ("draft", "4:4:4")])
def test_a_preset_decides_what_the_command_does_not(egg, tmp_path, preset, sampling):
    index, views = rendered(egg, tmp_path / "views", "--preset", preset, "--views", "1", "--size", "16")
    expected = PRESETS[preset].model_copy(update={"image_size": 16})
    assert index.renderer["render"] == json.loads(expected.model_dump_json())
    with Image.open(io.BytesIO(views[0].jpeg)) as image:
        factors = {component[1:3] for component in image.layer[:1]}
    assert factors == {(2, 2) if sampling == "4:2:0" else (1, 1)}


def test_the_command_overrides_a_preset(outside):
    index, _ = outside
    settings = index.renderer["render"]
    assert (settings["samples"], settings["denoiser"], settings["image_size"]) == (1, "none", 16)
    assert (settings["chroma"], settings["adaptive_threshold"]) == ("4:2:0", 0.01)
