"""The same command gives the same bytes, does what is missing and nothing else."""

import json
import shutil
import tarfile

import pytest

from commands import SMALL, call
from models import TRIANGLE, write_model
from render.catalog import scan_models
from render.dataset import render_dataset
from render.executor import Execution
from render.plan import PlanSettings, make_plan
from render.settings import RenderSettings
from shards.reader import read_views
from shards.schema import INDEX_NAME, open_dataset
from shards.variants import VARIANTS, draw_latents
from shards.verify import verify_dataset
from silence import Silence
from toys import digests

pytestmark = pytest.mark.blender

SETTINGS = PlanSettings(
    views=3, objects_per_shard=3, render=RenderSettings(image_size=16, samples=1, denoiser="none")
)
"""What ``commands.SMALL`` asks for."""


@pytest.fixture
def rendered_copy(rendered_dataset, tmp_path):
    return shutil.copytree(rendered_dataset, tmp_path / "views")


def test_a_dataset_holds_every_view_of_every_model(rendered_dataset, toy_models):
    index = open_dataset(rendered_dataset)
    assert list(verify_dataset(rendered_dataset, open_dataset(rendered_dataset))) == []
    views = [view.metadata for split in index.splits for view in read_views(rendered_dataset, index, split)]
    objects = scan_models(toy_models)
    assert sorted((view.synset, view.object, view.view) for view in views) == [
        (item.synset, item.object_id, view) for item in objects for view in range(3)
    ]
    assert len(index.splits["train"].shards) > 1
    for view in views:
        assert (
            list(view.latents)
            == draw_latents(VARIANTS["3diebench"], 0, view.synset, view.object, view.view).tolist()
        )
    assert {path.name for path in rendered_dataset.iterdir()} == {
        INDEX_NAME,
        "README.md",
        "failures.jsonl",
        "latents.parquet",
        "preview.png",
        *(shard.name for split in index.splits.values() for shard in split.shards),
    }


def test_the_index_tells_how_the_views_were_made(rendered_dataset):
    index = open_dataset(rendered_dataset)
    assert index.renderer["render"] == SETTINGS.render.model_dump(mode="json")
    assert index.renderer["blender"].startswith("4.5")
    pixels = [view.pixels() / 255 for view in read_views(rendered_dataset, index, "train")]
    assert index.channel_mean == pytest.approx(
        sum(view.mean(axis=(0, 1)) for view in pixels) / len(pixels), abs=1e-5
    )
    card = (rendered_dataset / "README.md").read_text()
    assert card.startswith("---\n") and "24 views of 8 objects" in card


def test_two_workers_give_the_bytes_of_one(rendered_dataset, toy_models, tmp_path):
    plan = make_plan(scan_models(toy_models), SETTINGS)
    summary = render_dataset(plan, tmp_path / "views", Execution(workers=2), Silence())
    assert summary.rendered_views == 24 and not summary.failures
    assert digests(tmp_path / "views") == digests(rendered_dataset)


def test_a_finished_dataset_is_left_as_it_is(rendered_copy, toy_models):
    before = digests(rendered_copy)
    result = call("render", toy_models, rendered_copy, *SMALL)
    assert result.code == 0
    assert "nothing was missing; nothing was rendered" in result.out
    assert digests(rendered_copy) == before
    assert not (rendered_copy / ".render").exists()


def test_a_limited_render_holds_the_views_of_the_whole_one(painted, toy_models, tmp_path):
    painted()
    assert call("render", toy_models, tmp_path / "whole", *SMALL).code == 0
    result = call("render", toy_models, tmp_path / "views", *SMALL, "--limit", "2")
    assert result.code == 0, result.err
    whole = {
        view.metadata.key: view.jpeg
        for split in ("train", "val")
        for view in read_views(tmp_path / "whole", open_dataset(tmp_path / "whole"), split)
    }
    some = {}
    for path in (tmp_path / "views").glob("*.tar"):
        with tarfile.open(path) as tar:
            some |= {
                item.name[:-4]: tar.extractfile(item).read() for item in tar if item.name.endswith(".jpg")
            }
    assert len(some) == 6
    assert all(whole[key] == jpeg for key, jpeg in some.items())


def test_difficult_names_are_rendered_and_read_back(tmp_path):
    names = ["a.b-c d", "木" * 80, "100%", "x_y~z"]
    for name in names:
        write_model(tmp_path / "models" / "my-class.é" / name, TRIANGLE)
    plan = make_plan(scan_models(tmp_path / "models"), SETTINGS)
    summary = render_dataset(plan, tmp_path / "views", Execution(workers=1), Silence())
    assert not summary.failures
    assert list(verify_dataset(tmp_path / "views", summary.index)) == []
    found = {
        view.metadata.object
        for split in ("train", "val")
        if summary.index.splits[split].views
        for view in read_views(tmp_path / "views", summary.index, split)
    }
    assert found == set(names)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (["--seed", "1"], "rendered with seed 0, not 1"),
        (["--size", "32"], "rendered with image_size 16, not 32"),
        (["--views", "4"], "rendered with views 3, not 4"),
        (["--limit", "3"], "holds a dataset of other objects"),
    ],
)
@pytest.mark.parametrize("state", ["finished", "begun"])
def test_a_folder_of_another_dataset_is_refused_by_the_difference(
    rendered_copy, toy_models, change, said, state
):
    if state == "begun":
        content = json.loads((rendered_copy / INDEX_NAME).read_text())["renderer"]
        shutil.rmtree(rendered_copy)
        (rendered_copy / ".render").mkdir(parents=True)
        (rendered_copy / ".render" / "settings.json").write_text(json.dumps(content))
    before = digests(rendered_copy)
    result = call("render", toy_models, rendered_copy, *SMALL, *change)
    assert result.code == 2
    assert said in result.error
    assert digests(rendered_copy) == before


def test_a_folder_with_other_files_is_refused(toy_models, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    result = call("render", toy_models, tmp_path, *SMALL)
    assert result.code == 2
    assert (
        result.error
        == f"{tmp_path} exists and holds no dataset of ours; choose a folder that is new or empty"
    )
    assert [item.name for item in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_file_where_the_folder_should_be_is_refused(toy_models, tmp_path, place):
    (tmp_path / "file").write_text("mine")
    result = call("render", toy_models, tmp_path / place, *SMALL)
    assert result.code == 2
    assert str(tmp_path / "file") in result.error
    assert (tmp_path / "file").read_text() == "mine"
