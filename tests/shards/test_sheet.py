"""The contact sheet."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from shards.errors import UsageError
from shards.schema import open_dataset
from shards.sheet import contact_sheet, pick_views


def test_every_class_has_a_row_of_views_of_one_object(toy_dataset):
    rows = pick_views(toy_dataset, open_dataset(toy_dataset), rows=12, columns=3)
    assert [title for title, _ in rows] == ["bottle", "chair", "mug"]
    for title, views in rows:
        assert [view.metadata.view for view in views] == [0, 1, 2]
        assert {view.metadata.object[: len(title)] for view in views} == {title}


def test_there_are_no_more_rows_and_columns_than_asked_for(toy_dataset):
    rows = pick_views(toy_dataset, open_dataset(toy_dataset), rows=2, columns=99)
    assert [len(views) for _, views in rows] == [4, 4]


def test_a_split_alone_can_be_shown(toy_dataset):
    index = open_dataset(toy_dataset)
    shown = {view.metadata.key for _, views in pick_views(toy_dataset, index, 12, 4, "val") for view in views}
    train = {
        view.metadata.key for _, views in pick_views(toy_dataset, index, 12, 4, "train") for view in views
    }
    assert shown and train and not shown & train


def test_a_dataset_without_views_is_a_usage_error(toy_dataset):
    index = open_dataset(toy_dataset)
    empty = index.model_copy(update={"splits": {}})
    with pytest.raises(UsageError, match="holds no view"):
        pick_views(toy_dataset, empty, 3, 3)


def test_the_sheet_shows_the_views_themselves_and_their_hues(toy_dataset):
    index = open_dataset(toy_dataset)
    rows = pick_views(toy_dataset, index, rows=3, columns=4)
    sheet = contact_sheet(rows, index.latents, size=64)
    pixels = np.array(sheet)
    found = 0
    for _, views in rows:
        for view in views:
            enlarged = np.array(Image.fromarray(view.pixels()).resize((64, 64), Image.Resampling.LANCZOS))
            found += any(
                np.array_equal(pixels[top : top + 64, left : left + 64], enlarged)
                for top in range(6, 7 + 3 * (64 + 42), 1)
                if top + 64 <= sheet.height
                for left in range(sheet.width - 64)
                if np.array_equal(pixels[top, left : left + 64], enlarged[0])
            )
    assert found == 12
    colors = {color for _, color in sheet.getcolors(maxcolors=sheet.width * sheet.height)}
    floor_hue = rows[0][1][0].metadata.latents[3]
    box = Image.new("RGB", (1, 1), f"hsv({floor_hue * 360:.0f}, 60%, 60%)").getpixel((0, 0))
    assert box in colors


def test_an_angle_that_rounds_to_zero_has_one_sign(toy_dataset):
    index = open_dataset(toy_dataset)
    ((title, (view,)),) = pick_views(toy_dataset, index, rows=1, columns=1)
    sheets = []
    for rotation in (-0.001, 0.001):
        metadata = view.metadata.model_copy(update={"latents": (rotation, *view.metadata.latents[1:])})
        sheets.append(contact_sheet([(title, [replace(view, metadata=metadata)])], index.latents))
    assert sheets[0].tobytes() == sheets[1].tobytes()
