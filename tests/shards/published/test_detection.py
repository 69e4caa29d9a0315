"""Variant, views, size and number format are told from the files, or asked for."""

import shutil

import numpy as np
import pytest

from folders import SIZE, write_folder
from shards.errors import UsageError
from shards.published.pack import make_pack_plan


@pytest.mark.parametrize(
    ("variant", "views"), [("3diebench", 5), ("translated", 4), ("ood", 2)], ids=lambda value: str(value)
)
def test_the_published_datasets_are_told_apart_by_their_latents(tmp_path, variant, views):
    settings = make_pack_plan(write_folder(tmp_path / "source", views=views, variant=variant)).settings
    assert (settings.variant, settings.views, settings.image_size) == (variant, views, SIZE)
    assert settings.latents_dtype == "<f8"


def test_a_few_odd_objects_do_not_change_what_the_others_are(tmp_path):
    source = write_folder(tmp_path / "source")
    shutil.rmtree(source / "02876657" / "o0")
    write_folder(source, ["02876657/o0"], views=7, variant="ood", dtype="<f4", size=16)
    (source / "03001627" / "o1" / "image_0.jpg").unlink()
    settings = make_pack_plan(source).settings
    assert (settings.variant, settings.views, settings.image_size, settings.latents_dtype) == (
        "3diebench",
        3,
        SIZE,
        "<f8",
    )


def test_a_view_that_half_of_the_objects_lack_has_to_be_settled(tmp_path):
    source = write_folder(tmp_path / "source", ["02876657/a", "02876657/b"], views=3)
    write_folder(source, ["02876657/c", "02876657/d"], views=2)
    with pytest.raises(
        UsageError, match=r"number of views differs .*3 in 2, 2 in 2 of 4.*; say it with --views"
    ):
        make_pack_plan(source)
    assert make_pack_plan(source, views=2).settings.views == 2


def test_a_missing_last_image_is_a_missing_view_and_no_other_number_of_views(tmp_path):
    source = write_folder(tmp_path / "source")
    for path in source.rglob("image_2.jpg"):
        path.unlink()
    assert make_pack_plan(source).settings.views == 3


def test_latents_that_fit_two_variants_or_none_have_to_be_settled(tmp_path):
    source = write_folder(tmp_path / "source", ["02876657/a"], views=1)
    edge = source / "02876657" / "a" / "latent_0.npy"
    values = np.load(edge)
    for rotation, counts in ((np.pi / 2, "3diebench fits 1, ood fits 1"), (4.0, "none fits any")):
        np.save(edge, np.array([rotation] * 3 + values[3:].tolist()))
        with pytest.raises(UsageError, match=f"which variant this is .*{counts}.*say it with --variant"):
            make_pack_plan(source)
        assert make_pack_plan(source, variant="ood").settings.variant == "ood"


def test_a_variant_with_another_number_of_latents_is_refused(tmp_path):
    source = write_folder(tmp_path / "source", ["02876657/a"])
    with pytest.raises(UsageError, match="variant translated has 10 latents, and the files hold 7 float64"):
        make_pack_plan(source, variant="translated")


def test_folders_of_two_sizes_are_refused(tmp_path):
    source = write_folder(tmp_path / "source", ["02876657/a"])
    write_folder(source, ["02876657/b"], size=16)
    with pytest.raises(UsageError, match=r"image size differs between objects .*; pack them apart"):
        make_pack_plan(source)
