"""Dataset cards: what a person wrote stays, terms are carried, and a picture shows some views."""

import pytest
import yaml
from PIL import Image

from commands import call
from folders import write_folder
from shards.card import PREVIEW_NAME, card_text
from shards.indexing import index_dataset
from shards.schema import open_dataset
from toys import digests

PACK = ("--objects-per-shard", "3", "--workers", "1")
CC = "Creative Commons\n\nAttribution-NonCommercial 4.0 International\n\n...\n"


@pytest.fixture
def index(indexed_dataset):
    return open_dataset(indexed_dataset)


@pytest.fixture
def changed(index):
    """The index of the dataset after one of its splits has gone."""
    val = index.splits["val"].model_copy(update={"views": 0, "objects": 0, "shards": ()})
    return index.model_copy(update={"splits": {**index.splits, "val": val}})


def header(card):
    return yaml.safe_load(card.split("---\n")[1])


def test_an_untouched_card_is_written_anew(index, changed):
    assert card_text(changed, "", card_text(index)) == card_text(changed)
    assert card_text(index, "", card_text(index)) == card_text(index)


def test_fields_and_text_that_were_added_stay_and_the_rest_follows_the_dataset(index, changed):
    edited = card_text(index).replace("---\npretty_name", "---\nlicense: mit\npretty_name", 1)
    edited = (
        edited.replace("pretty_name: 3DIEBench", "pretty_name: Mine, 3DIEBench", 1) + "\n## Thanks\nTo all.\n"
    )
    found = card_text(changed, "", edited)
    assert header(found)["license"] == "mit" and header(found)["pretty_name"].startswith("Mine, ")
    assert header(found)["configs"] == header(card_text(changed))["configs"]
    assert found.endswith("\n## Thanks\nTo all.\n")
    assert f"# {changed.splits['train'].views} views" in found and "# 84 views" not in found
    assert card_text(changed, "", found) == found


def test_text_and_configs_that_were_changed_stay(index, changed):
    edited = card_text(index).replace("# 84 views of 21 objects", "# My views")
    edited = edited.replace("config_name: default\n  data_files", "config_name: mine\n  data_files", 1)
    found = card_text(changed, "", edited)
    assert "# My views" in found and header(found)["configs"][0]["config_name"] == "mine"
    assert card_text(changed, "", found) == found


@pytest.mark.parametrize(
    "card",
    [
        "",
        "# Mine alone\n",
        "---\nlicense: mit\n---\n# Mine\n",
        "---\n: [\n---\nbroken\n",
        "---\n- 1\n---\nlist\n",
    ],
)
def test_a_card_of_a_person_s_own_keeps_every_word(index, card):
    found = card_text(index, "", card)
    assert card.split("---\n")[-1] in found
    assert card_text(index, "", found) == found
    if "license: mit" in card:
        assert header(found)["license"] == "mit"


def test_a_rerun_leaves_an_edited_card_and_rewrites_nothing(tmp_path):
    source, out = write_folder(tmp_path / "flat"), tmp_path / "out"
    assert call("pack", source, out, *PACK).code == 0
    card = out / "README.md"
    card.write_text(card.read_text().replace("---\n", "---\nlicense: cc0-1.0\n", 1) + "More.\n")
    before = digests(out)
    assert call("pack", source, out, *PACK).code == 0
    assert digests(out) == before
    index_dataset(out)
    assert digests(out) == before


@pytest.mark.parametrize(
    ("text", "expected"), [(CC, "cc-by-nc-4.0"), ("All rights reserved.\n", "other"), ("", None)]
)
def test_the_licence_of_the_source_is_carried(tmp_path, text, expected):
    source, out = write_folder(tmp_path / "flat"), tmp_path / "out"
    if text:
        (source / "LICENSE").write_text(text)
    assert call("pack", source, out, *PACK).code == 0
    card = (out / "README.md").read_text()
    assert header(card).get("license") == expected
    assert ((out / "LICENSE").read_text() if text else "") == text
    assert (
        "shapenet.org/terms" in card
        and "arxiv.org/abs/2302.10283" in card
        and "@inproceedings{garrido" in card
    )
    (source / "LICENSE").unlink(missing_ok=True)
    assert call("pack", source, out, *PACK).code == 0
    assert (out / "README.md").read_text() == card


def test_the_preview_shows_a_class_in_each_row(indexed_dataset, index):
    with Image.open(indexed_dataset / PREVIEW_NAME) as picture:
        assert picture.format == "PNG" and picture.width > 4 * 96 and picture.height > 3 * 96
    assert f"({PREVIEW_NAME})" in card_text(index)
