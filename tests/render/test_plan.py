"""What is to be rendered, and whether a folder may be continued."""

from types import SimpleNamespace

import pytest

from models import TRIANGLE, write_model
from render.catalog import scan_models
from render.plan import PIXELS_VERSION, PlanSettings, make_plan, must_be_rendered_again
from render.settings import RenderSettings
from shards.errors import UsageError
from shards.same_settings import require_same_settings


@pytest.fixture
def objects(tmp_path):
    for number in range(12):
        write_model(tmp_path / "03797390" / f"mug{number}", TRIANGLE)
    return scan_models(tmp_path)


def test_every_object_stands_in_one_shard_of_its_split_in_catalog_order(objects):
    plan = make_plan(objects, PlanSettings(objects_per_shard=4))
    assert [shard.name for shard in plan.shards] == [
        "train-000000.tar",
        "train-000001.tar",
        "train-000002.tar",
        "val-000000.tar",
    ]
    for split in ("train", "val"):
        members = [item for shard in plan.shards if shard.split == split for item in shard.objects]
        assert members == [item for item in objects if item.split == split] != []
    assert all(len(shard.objects) <= 4 for shard in plan.shards)


def test_the_same_settings_may_go_on(objects, tmp_path):
    settings = make_plan(objects, PlanSettings(seed=3)).settings
    require_same_settings(settings.model_dump_json(), settings, tmp_path, "rendered")
    require_same_settings(settings.model_dump(mode="json"), settings, tmp_path, "rendered")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"seed": 1}, "seed 0, not 1"),
        ({"views": 7}, "views 50, not 7"),
        ({"variant": "ood"}, 'variant "3diebench", not "ood"'),
        ({"render": RenderSettings(image_size=64)}, "image_size 256, not 64"),
        ({"render": RenderSettings(denoiser="none")}, 'denoiser "high", not "none"'),
        ({"objects_per_shard": 3}, "objects_per_shard 100, not 3"),
    ],
)
def test_other_settings_are_refused_by_name(objects, tmp_path, change, said):
    old = make_plan(objects, PlanSettings()).settings
    new = make_plan(objects, PlanSettings(**change)).settings
    with pytest.raises(UsageError, match=f"holds a dataset rendered with {said}; choose another folder"):
        require_same_settings(old.model_dump_json(), new, tmp_path, "rendered")


def test_other_models_are_refused(objects, tmp_path):
    old, new = (make_plan(chosen, PlanSettings()).settings for chosen in (objects, objects[1:]))
    with pytest.raises(UsageError, match="holds a dataset of other objects"):
        require_same_settings(old.model_dump_json(), new, tmp_path, "rendered")


@pytest.mark.parametrize("recorded", ["", "{", "[]", '{"color": 1}', {}, {"views": "many"}])
def test_settings_that_are_not_ours_are_refused(objects, tmp_path, recorded):
    settings = make_plan(objects, PlanSettings(seed=1)).settings
    with pytest.raises(UsageError):
        require_same_settings(recorded, settings, tmp_path, "rendered")


@pytest.mark.parametrize(
    ("synset", "renderer", "again"),
    [
        ("02691156", {"render": {}, "views": 1}, True),
        ("02691156", {"render": {}, "views": 1, "pixels_version": PIXELS_VERSION}, False),
        ("02691156", {"latents_header": "x"}, False),
        ("chairs", {"render": {}, "views": 1}, False),
    ],
)
def test_shapenet_as_rendered_by_an_earlier_renderer_must_be_rendered_again(synset, renderer, again):
    index = SimpleNamespace(renderer=renderer, classes=[SimpleNamespace(synset=synset)])
    assert must_be_rendered_again(index) is again


def test_what_an_earlier_renderer_has_begun_is_not_continued(tmp_path):
    earlier = PlanSettings().model_dump()
    del earlier["pixels_version"]
    with pytest.raises(UsageError, match="pixels_version 1, not 2"):
        require_same_settings(earlier, PlanSettings(pixels_version=PIXELS_VERSION), tmp_path, "rendered")
