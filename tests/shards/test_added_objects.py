"""Objects that are added to a dataset are made alone; what is there moves from shard to shard as it is."""

import shutil

import pytest

from commands import call
from folders import OBJECTS, write_folder
from shards import pack_run, writer
from shards.schema import open_dataset
from toys import digests

PACK = ("--objects-per-shard", "3", "--workers", "1")
NEW = ("02876657/o1", "03797390/o0")
"""Objects in two of three classes, which displace others in both splits."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A source with all objects, and the dataset that is made of it at once."""
    folder = tmp_path_factory.mktemp("added")
    source = write_folder(folder / "source")
    assert call("pack", source, folder / "out", *PACK).code == 0
    return source, digests(folder / "out")


@pytest.fixture
def begun(whole, tmp_path):
    """A source with all objects, and a dataset that was made when it had fewer."""
    source, _ = whole
    fewer = tmp_path / "fewer"
    shutil.copytree(source, fewer)
    for name in NEW:
        shutil.rmtree(fewer / name)
    out = tmp_path / "out"
    assert call("pack", fewer, out, *PACK).code == 0
    copy = shutil.copytree(source, tmp_path / "source")
    for name in set(OBJECTS) - set(NEW):
        (copy / name / "image_1.jpg").write_bytes(b"never read again")
    return copy, out


def interrupted(monkeypatch, source, out, sealed):
    """Adds objects, and is stopped once so many shards are sealed."""
    left = [sealed]

    def seal(*arguments, **named):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return writer.seal_shard(*arguments, **named)

    monkeypatch.setattr(pack_run, "seal_shard", seal)
    assert call("pack", source, out, *PACK, "--add").code == 130
    monkeypatch.undo()


def test_added_objects_alone_are_read_and_the_bytes_are_those_of_all_at_once(whole, begun):
    source, out = begun
    assert sum(split.objects for split in open_dataset(out).splits.values()) == len(OBJECTS) - len(NEW)
    result = call("pack", source, out, *PACK, "--add")
    assert result.code == 0, result.err
    assert digests(out) == whole[1]
    assert not (out / ".pack").exists()
    assert "nothing was packed" in call("pack", source, out, *PACK, "--add").out


@pytest.mark.parametrize("sealed", [0, 2])
def test_adding_that_was_interrupted_goes_on_without_reading_anything_twice(
    whole, begun, monkeypatch, sealed
):
    source, out = begun
    interrupted(monkeypatch, source, out, sealed)
    assert call("pack", source, out, *PACK, "--add").code == 0
    assert digests(out) == whole[1]


def test_adding_that_was_interrupted_can_be_given_up(begun, monkeypatch):
    source, out = begun
    before = digests(out)
    interrupted(monkeypatch, source, out, 2)
    for name in NEW:
        shutil.rmtree(source / name)
    assert call("pack", source, out, *PACK).code == 0
    assert digests(out) == before


def test_without_being_asked_for_nothing_is_added(begun):
    source, out = begun
    before = digests(out)
    result = call("pack", source, out, *PACK)
    assert result.code == 2 and "--add where some were added" in result.error
    assert digests(out) == before


def remove(source, out):
    shutil.rmtree(source / "02876657" / "o0")
    return "02876657/o0 of split"


def add_class(source, out):
    shutil.copytree(source / "03797390" / "o0", source / "02999999" / "o0")
    return "and label 2 now"


def spoil_table(source, out):
    (out / "latents.parquet").unlink()
    return "run `iebench index`"


@pytest.mark.parametrize("change", [remove, add_class, spoil_table])
def test_what_is_no_addition_is_one_sentence_and_changes_nothing(begun, change):
    source, out = begun
    said = change(source, out)
    before = digests(out)
    result = call("pack", source, out, *PACK, "--add")
    assert result.code in (1, 2) and said in result.error
    assert digests(out) == before
