"""The report as a person asks for it: larger pictures out of the models, and an explorer beside it."""

import base64
import re
from pathlib import Path

import pytest

from commands import call
from evaluations import made_up_evaluation, write_evaluation
from iebench.report.shown_views import larger_views, name_of
from shards.errors import UsageError
from shards.images import decode_jpeg
from shards.reader import read_views
from shards.schema import open_dataset
from small_runs import small_recipe, untrained_run

LARGE = 128


def sizes_on(page: Path) -> list[int]:
    """The width of each picture of a page."""
    found = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', page.read_text(encoding="utf-8"))
    return [decode_jpeg(base64.b64decode(text), "picture").shape[1] for text in found]


def evaluated_run(folder: Path, data: Path) -> Path:
    untrained_run(folder, data, small_recipe())
    write_evaluation(folder, made_up_evaluation(data))
    return folder


@pytest.mark.blender
def test_pictures_are_rendered_larger_with_the_latents_that_they_had(
    toy_models: Path, rendered_dataset: Path, tmp_path: Path
):
    run = evaluated_run(tmp_path / "run", rendered_dataset)
    page = tmp_path / "page.html"
    result = call("report", run, "--out", page, "--models", toy_models)
    assert result.code == 0, result.err
    sizes = sizes_on(page)
    assert sizes and set(sizes) == {LARGE}
    (folder,) = tmp_path.glob("page-views-*")
    larger = open_dataset(folder)
    small = {
        name_of(view): view.metadata.latents
        for view in read_views(rendered_dataset, open_dataset(rendered_dataset), "val")
    }
    views = list(read_views(folder, larger, "train"))
    assert views
    assert all(view.metadata.latents == small[name_of(view)] for view in views)

    (shard,) = folder.glob("train-*.tar")
    before = shard.stat().st_mtime_ns
    again = call("report", run, "--out", page, "--models", toy_models)
    assert again.code == 0, again.err
    assert shard.stat().st_mtime_ns == before


def test_views_of_other_latents_are_not_shown_for_these(toy_dataset: Path, toy_copy: Path):
    wanted = list(read_views(toy_dataset, open_dataset(toy_dataset), "val"))
    assert larger_views(toy_copy, wanted).keys() == {name_of(view) for view in wanted}
    view = wanted[0]
    moved = view.metadata.model_copy(update={"latents": (0.1,) * len(view.metadata.latents)})
    with pytest.raises(UsageError, match="has other latents"):
        larger_views(toy_copy, [type(view)(moved, view.jpeg)])


def test_the_explorer_is_written_beside_the_page_and_linked_from_it(toy_dataset: Path, tmp_path: Path):
    run = evaluated_run(tmp_path / "run", toy_dataset)
    page = tmp_path / "page.html"
    result = call("report", run, "--out", page, "--explorer")
    assert result.code == 0, result.err
    explorer = tmp_path / "page-explorer.html"
    assert f"{explorer}: open it" in result.out
    assert f'href="{explorer.name}"' in page.read_text(encoding="utf-8")
    assert explorer.is_file()
    assert set(sizes_on(page)) == {open_dataset(toy_dataset).image_size}


def test_models_that_lack_an_object_are_one_sentence(toy_models: Path, toy_dataset: Path, tmp_path: Path):
    run = evaluated_run(tmp_path / "run", toy_dataset)
    result = call("report", run, "--out", tmp_path / "page.html", "--models", toy_models)
    assert result.code == 2
    assert "the models lack" in result.error
