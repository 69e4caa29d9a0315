import builtins
from pathlib import Path

import numpy as np
import pytest

from iebench.evaluation.corruptions import (
    CLEAN,
    CORRUPTED,
    CORRUPTIONS,
    Condition,
    ShownStream,
    ShownViews,
    chosen_views,
    corrupted_image,
    load_corrupt,
)
from shards.errors import UsageError
from shards.reader import read_views
from shards.schema import open_dataset


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """Smooth colors with an edge, 32 px."""
    steps = np.linspace(40, 215, 32)
    red, green = np.meshgrid(steps, steps)
    blue = np.where(red > green, 60.0, 190.0)
    return np.stack((red, green, blue), axis=2).astype(np.uint8)


def test_the_corruptions_are_those_of_the_package_in_its_order():
    from imagecorruptions import get_corruption_names

    assert list(CORRUPTIONS) == get_corruption_names("common")


@pytest.mark.slow
def test_every_condition_changes_an_image_and_no_two_are_alike(image: np.ndarray):
    seen = {corrupted_image(image, condition, "a-0").tobytes() for condition in CORRUPTED}
    assert len(seen | {image.tobytes()}) == 15 * 5 + 1
    assert corrupted_image(image, CLEAN, "a-0") is image


@pytest.mark.slow
def test_a_corruption_depends_on_the_name_alone(image: np.ndarray):
    np.random.seed(0)
    expected = np.random.rand(16)
    np.random.seed(0)
    drawn = []
    for name in CORRUPTIONS:
        condition = Condition(name, 3)
        first = corrupted_image(image, condition, "a-0")
        corrupted_image(image, condition, "b-1")
        drawn.append(np.random.rand())
        np.testing.assert_array_equal(corrupted_image(image, condition, "a-0"), first)
    noise = Condition("gaussian_noise", 3)
    assert (corrupted_image(image, noise, "a-0") != corrupted_image(image, noise, "b-1")).any()
    np.testing.assert_array_equal(drawn, expected[:15])


@pytest.mark.slow
def test_severer_noise_lies_farther_from_the_image(image: np.ndarray):
    for name in ("gaussian_noise", "contrast", "jpeg_compression", "fog"):
        distances = [
            np.abs(corrupted_image(image, Condition(name, severity), "a-0").astype(float) - image).mean()
            for severity in (1, 5)
        ]
        assert distances[0] < distances[1]


def test_a_package_that_is_missing_is_named(image: np.ndarray, monkeypatch: pytest.MonkeyPatch):
    original = builtins.__import__

    def without(name: str, *others: object, **more: object) -> object:
        if name == "imagecorruptions":
            raise ImportError("libGL.so.1: cannot open shared object file")
        return original(name, *others, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    load_corrupt.cache_clear()
    with pytest.raises(UsageError, match=r"libGL.*pip install 'iebench\[robustness\]'"):
        corrupted_image(image, CORRUPTED[0], "a-0")


def test_shown_views_are_drawn_by_the_name_of_their_object():
    drawn = [chosen_views("a", str(number), 50, 1) for number in range(200)]
    assert drawn == [chosen_views("a", str(number), 50, 1) for number in range(200)]
    assert len({views[0] for views in drawn}) > 40
    assert chosen_views("a", "0", 3, 5) == [0, 1, 2]


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_rows_stand_object_by_object_view_by_view_whatever_the_batches(toy_dataset: Path, batch_size: int):
    index = open_dataset(toy_dataset)
    conditions = (CLEAN, Condition("contrast", 5), Condition("shot_noise", 1))
    shown = ShownViews(2, conditions)
    views = list(read_views(toy_dataset, index, "val"))
    expected = []
    for start in range(0, len(views), index.views_per_object):
        metadata = views[start].metadata
        for number in chosen_views(metadata.synset, metadata.object, index.views_per_object, 2):
            view = views[start + number]
            expected += [corrupted_image(view.pixels(), item, view.metadata.key) for item in conditions]
    rows = []
    for share in range(2):
        for batch in ShownStream(toy_dataset, index, "val", batch_size, share, 2, shown):
            assert batch.start == len(rows)
            rows += list(batch.views.permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(np.stack(rows), np.stack(expected))
