"""A render rebuilds just the shards that `iebench verify` named, once they are deleted, to the same bytes."""

import shutil

import pytest

from commands import SMALL, call, run
from toys import digests

pytestmark = pytest.mark.blender


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 16
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("damage", [flip_a_bit, truncate], ids=["flipped bit", "truncated"])
def test_shards_that_verify_names_are_rebuilt_when_they_are_deleted(
    rendered_dataset, toy_models, tmp_path, damage
):
    copy = shutil.copytree(rendered_dataset, tmp_path / "views")
    broken, *sound = sorted(copy.glob("*.tar"))
    damage(broken)
    before = {path: path.stat().st_mtime_ns for path in sound}

    verified = run("verify", copy, "--jobs", "2")
    assert verified.code == 1
    assert "delete the shards named above" in verified.error
    named = {line.split(".tar")[0] + ".tar" for line in verified.out.splitlines()}
    assert named == {broken.name}
    assert ", sample " in verified.out
    for name in named:
        (copy / name).unlink()

    rebuilt = run("render", toy_models, copy, *SMALL, "--workers", "1")
    assert rebuilt.code == 0, rebuilt.err
    assert digests(copy) == digests(rendered_dataset)
    assert {path: path.stat().st_mtime_ns for path in sound} == before
    assert call("verify", copy).code == 0
