"""The header of a dataset card says what the Hugging Face Hub asks for."""

import pytest
import yaml

from shards.card import card_text, hub_metadata
from shards.passes import PASSES
from shards.schema import SampleMetadata, open_dataset


@pytest.fixture
def index(toy_dataset):
    return open_dataset(toy_dataset)


def of_views(index, views: int):
    train = index.splits["train"].model_copy(update={"views": views})
    val = index.splits["val"].model_copy(update={"views": 0, "objects": 0, "shards": ()})
    return index.model_copy(update={"splits": {"train": train, "val": val}})


def test_the_header_of_a_card_is_yaml_that_the_hub_s_own_reader_takes(index):
    from huggingface_hub import DatasetCard

    text = card_text(index)
    card = DatasetCard(text)
    assert card.data.to_dict() == yaml.safe_load(text.split("---\n")[1]) == hub_metadata(index)
    assert card.data.size_categories == ["n<1K"]
    assert card.data.task_categories == ["image-classification", "image-feature-extraction"]
    assert card.data.pretty_name == "3DIEBench views, variant 3diebench, 32 px"
    assert "\n# 84 views of 21 objects\n" in card.text


def test_no_license_is_invented(index):
    assert "license" not in hub_metadata(index)


def test_every_field_of_a_sample_has_a_type(index):
    features = hub_metadata(index.model_copy(update={"passes": PASSES}))["dataset_info"]["features"]
    fields = {field["name"]: field for field in features}
    assert list(fields) == ["jpg", "mask.png", "depth.png", "normal.png", "json", "__key__", "__url__"]
    assert {field["name"] for field in fields["json"]["struct"]} == {*SampleMetadata.model_fields, "crc32"}


def test_views_with_depth_are_for_the_estimation_of_depth(index):
    assert (
        "depth-estimation" in hub_metadata(index.model_copy(update={"passes": ("depth",)}))["task_categories"]
    )


def test_a_split_without_shards_is_left_out(index):
    (config,) = hub_metadata(of_views(index, 5))["configs"]
    assert config["data_files"] == [{"split": "train", "path": "train-*.tar"}]


@pytest.mark.parametrize(
    ("views", "words"),
    [
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (131_000, "100K<n<1M"),
        (2_600_000, "1M<n<10M"),
        (10**7, "10M<n<100M"),
    ],
)
def test_the_size_is_told_in_the_hub_s_words(index, views, words):
    assert hub_metadata(of_views(index, views))["size_categories"] == [words]
