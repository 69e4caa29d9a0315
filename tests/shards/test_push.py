"""Datasets on the Hugging Face Hub, for which a server on loopback stands in: nothing here asks the real one."""

import pytest

from commands import call
from mirrors import views
from shards.access import Dataset
from shards.mirror import dataset_folder
from shards.schema import INDEX_NAME
from stand_in_hub import TOKEN, hub

constants = pytest.importorskip(
    "huggingface_hub.constants"
)  # before a test sets HF_HUB_OFFLINE, which is read once
ADDRESS = "hf://me/views"


@pytest.fixture
def there(cache, monkeypatch, tmp_path):
    with hub() as state:
        monkeypatch.setenv("HF_ENDPOINT", state.address)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield state


@pytest.mark.processes
def test_what_was_pushed_is_read_back_by_its_address(there, indexed_copy):
    result = call("push", indexed_copy, ADDRESS)
    assert result.code == 0, result.err
    stored = there.files["me/views"]
    assert stored == {path.name: path.read_bytes() for path in indexed_copy.iterdir()}
    assert there.commits[-1] == [INDEX_NAME], "what is there is never half a dataset"
    assert views(dataset_folder(ADDRESS)) == views(indexed_copy)
    assert call("verify", ADDRESS, "--workers", "1").code == 0


def test_single_views_come_by_ranges(there, indexed_copy):
    assert call("push", indexed_copy, ADDRESS).code == 0
    dataset = Dataset(ADDRESS, "val")
    assert dataset.read(2) == Dataset(indexed_copy, "val").read(2)
    assert not list(dataset_folder(ADDRESS).glob("*.tar"))


def test_pushing_again_sends_what_is_not_there(there, indexed_copy, monkeypatch):
    from shards import push

    monkeypatch.setattr(push, "FILES_PER_COMMIT", 1)
    there.fail_after = 2
    result = call("push", indexed_copy, ADDRESS)
    assert result.code == 1 and "run the same command again" in result.error
    assert INDEX_NAME not in there.files["me/views"]
    there.fail_after = None
    assert call("push", indexed_copy, ADDRESS).code == 0
    assert len(there.sent) == len(set(there.sent))
    commits = len(there.commits)
    assert call("push", indexed_copy, ADDRESS).out == f"{ADDRESS}: everything was there\n"
    assert len(there.commits) == commits
    (indexed_copy / "README.md").write_text("changed")
    assert call("push", indexed_copy, ADDRESS).out == f"{ADDRESS}: 1 files uploaded\n"


@pytest.mark.parametrize(
    "address", ["hf://views", "hf://", "s3://me/views", "hf://me/views/below", "me/views"]
)
def test_what_names_no_repository_is_refused(there, indexed_copy, address):
    result = call("push", indexed_copy, address)
    assert result.code == 2 and "hf://USER/NAME" in result.error
    assert not there.files


def test_without_a_token_it_says_how_to_get_one(there, indexed_copy, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_other")
    result = call("push", indexed_copy, ADDRESS)
    assert result.code == 2 and "hf auth login" in result.error


def test_a_dataset_that_is_not_there_is_one_sentence(there):
    result = call("stats", "hf://me/nothing")
    assert result.code == 1 and "is not there" in result.error
    result = call("stats", "hf://nothing")
    assert result.code == 2 and "hf://USER/NAME" in result.error
