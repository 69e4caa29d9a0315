"""The JSON schema of dataset.json that other programs check an index by."""

import json
from importlib.resources import files

import pytest
from jsonschema import Draft202012Validator

from shards.json_schema import schema_text
from shards.schema import INDEX_NAME


@pytest.fixture(scope="module")
def validator():
    schema = json.loads(files("shards").joinpath("dataset.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def content_of(folder) -> dict:
    return json.loads((folder / INDEX_NAME).read_text())


@pytest.mark.processes
def test_the_schema_that_is_kept_is_the_one_of_the_dataset_format():
    assert files("shards").joinpath("dataset.schema.json").read_text() == schema_text()


def test_a_dataset_s_index_is_valid(validator, toy_dataset):
    assert list(validator.iter_errors(content_of(toy_dataset))) == []


@pytest.mark.blender
def test_a_rendered_dataset_s_index_is_valid(validator, rendered_dataset):
    assert list(validator.iter_errors(content_of(rendered_dataset))) == []


def test_an_index_that_lacks_what_has_a_default_is_valid(validator, toy_dataset):
    content = content_of(toy_dataset)
    for name in ("channel_order", "passes", "renderer"):
        del content[name]
    assert list(validator.iter_errors(content)) == []


def change_shard(**changes: object):
    return lambda content: content["splits"]["train"]["shards"][0].update(changes)


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (lambda content: content.pop("format_version"), []),
        (lambda content: content.pop("latents"), []),
        (lambda content: content.update(color=1), []),
        (lambda content: content.update(format_version=2), ["format_version"]),
        (lambda content: content.update(variant="other"), ["variant"]),
        (lambda content: content.update(channel_order="grb"), ["channel_order"]),
        (lambda content: content.update(passes=["heat"]), ["passes", 0]),
        (lambda content: content.update(image_size=0), ["image_size"]),
        (lambda content: content.update(channel_mean=[0.5, 0.5]), ["channel_mean"]),
        (lambda content: content["latents"][0].update(intervals=[[1]]), ["latents", 0, "intervals", 0]),
        (lambda content: content["classes"][0].update(label="a"), ["classes", 0, "label"]),
        (change_shard(name="pipe:touch owned.tar"), ["splits", "train", "shards", 0, "name"]),
        (change_shard(name="../x.tar"), ["splits", "train", "shards", 0, "name"]),
        (change_shard(sha256="0"), ["splits", "train", "shards", 0, "sha256"]),
        (change_shard(bytes=-1), ["splits", "train", "shards", 0, "bytes"]),
    ],
)
def test_an_index_that_breaks_the_dataset_format_is_not(validator, toy_dataset, damage, place):
    content = content_of(toy_dataset)
    damage(content)
    assert [list(error.path) for error in validator.iter_errors(content)] == [place]
