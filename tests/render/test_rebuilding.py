"""A render mends just the shards that `iebench verify` named, out of what is sound in them, to the same bytes."""

import shutil

import pytest

from commands import SMALL, call
from toys import digests

pytestmark = pytest.mark.processes

VIEWS, PER_OBJECT = 24, 3


@pytest.fixture
def whole(painted, toy_models, tmp_path):
    """The painted dataset of the toy models."""
    painted()
    assert call("render", toy_models, tmp_path / "whole", *SMALL, "--workers", "1").code == 0
    return tmp_path / "whole"


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 16
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])


@pytest.mark.parametrize(
    ("damage", "options", "lost"),
    [
        (flip_a_bit, ("--repair",), 1),
        (truncate, (), 2),
        (lambda path: path.unlink(), (), 3),
    ],
    ids=["flipped bit", "truncated", "deleted"],
)
def test_of_a_damaged_shard_just_the_objects_that_are_lost_are_rendered(
    whole, toy_models, tmp_path, damage, options, lost
):
    copy = shutil.copytree(whole, tmp_path / "views")
    broken, *sound = sorted(copy.glob("*.tar"))
    damage(broken)
    before = {path: path.stat().st_mtime_ns for path in sound}

    verified = call("verify", copy, "--workers", "1")
    assert verified.code == 1
    assert "run the command that made the dataset again with --repair" in verified.error
    assert {line.split(".tar")[0] + ".tar" for line in verified.out.splitlines()} == {broken.name}

    rebuilt = call("render", toy_models, copy, *SMALL, "--workers", "1", *options)
    assert rebuilt.code == 0, rebuilt.err
    assert f"{VIEWS - lost * PER_OBJECT} of {VIEWS} views are there already" in rebuilt.err
    assert digests(copy) == digests(whole)
    assert {path: path.stat().st_mtime_ns for path in sound} == before
    assert call("verify", copy, "--workers", "1").code == 0


def test_of_a_dataset_that_models_were_added_to_just_their_views_are_rendered(whole, toy_models, tmp_path):
    models, out = shutil.copytree(toy_models, tmp_path / "models"), tmp_path / "views"
    added = sorted(path.parent for path in models.glob("*/*/models"))[0]
    shutil.move(added, tmp_path / "added")
    render = ("render", models, out, *SMALL, "--workers", "1")
    assert call(*render).code == 0
    shutil.move(tmp_path / "added", added)
    assert "--add" in call(*render).error

    grown = call(*render, "--add")
    assert grown.code == 0, grown.err
    assert f"{VIEWS - PER_OBJECT} of {VIEWS} views are there already" in grown.err
    assert digests(out) == digests(whole)
