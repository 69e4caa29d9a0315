"""Datasets at an address: the views are those of the dataset, and nothing stale or altered is read."""

import json
import os
import re
import shutil
import socket
import sys
from pathlib import Path

import pytest

from disks import file_system, resize
from mirrors import first_shard, views
from processes import wait_for
from shards.errors import IebenchError, UsageError
from shards.mirror import dataset_folder, local_shard, prefetch
from shards.origin import ORIGIN_NAME, cache_root, folder_at, location_of, mirror_folder, origin_of
from shards.reader import read_views
from shards.remote.connection import Unreachable
from shards.schema import INDEX_NAME, open_dataset
from shards.verify import verify_dataset
from toys import digests, reseal, rewrite_index, toy_samples
from unreliable_server import Fault, serving

pytestmark = pytest.mark.timeout(120)


def test_a_folder_is_returned_as_it_is_and_its_shards_are_where_they_are(toy_dataset):
    assert dataset_folder(toy_dataset) == dataset_folder(str(toy_dataset)) == toy_dataset
    shard = first_shard(toy_dataset)
    assert local_shard(toy_dataset, shard) == toy_dataset / shard.name
    assert origin_of(toy_dataset) is None
    assert list(prefetch(toy_dataset, [shard])) == [shard]


def test_a_mirror_has_the_views_of_the_dataset_and_only_the_shards_that_were_read(cache, server, toy_copy):
    folder = dataset_folder(server.address + "/")
    assert folder.parent == cache
    assert origin_of(folder) == location_of(folder) == server.address
    assert folder_at(location_of(folder)) == folder
    index = open_dataset(folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([INDEX_NAME, ORIGIN_NAME])
    list(read_views(folder, index, "val"))
    assert [path.name for path in folder.glob("*.tar")] == ["val-000000.tar"]
    assert views(folder) == views(toy_copy)
    fetched = digests(folder)
    assert {name: fetched[name] for name in digests(toy_copy)} == digests(toy_copy)
    assert not list(folder.glob(".*")), "nothing is left but the dataset"
    assert views(dataset_folder(server.address)) == views(toy_copy)
    assert all(len(server.asked(path.name)) == 1 for path in toy_copy.glob("*.tar"))


@pytest.mark.processes
def test_a_cache_on_a_full_disk_is_one_sentence_and_goes_on_once_there_is_room(
    server, cache, tmp_path, monkeypatch
):
    with file_system(tmp_path / "disk", "40k") as disk:
        monkeypatch.setenv("IEBENCH_CACHE", str(disk / "cache"))
        folder = dataset_folder(server.address)
        shard = first_shard(folder)
        assert shard.bytes > 40_000
        for _ in range(2):
            with pytest.raises(
                IebenchError, match=r"No space left on device.*make room or set IEBENCH_CACHE"
            ):
                local_shard(folder, shard)
        assert not (folder / shard.name).exists()
        resize(disk, "16m")
        assert local_shard(folder, shard).read_bytes() == (server.folder / shard.name).read_bytes()
        assert re.fullmatch(r"bytes=[1-9]\d*-.*", server.asked(shard.name)[-1]), "what had come was kept"
        assert views(folder) == views(server.folder)


@pytest.mark.parametrize("place", [0, 512, -1])
def test_a_cached_shard_that_was_altered_is_found_by_its_checksum_and_fetched_anew(cache, server, place):
    folder = dataset_folder(server.address)
    expected = views(folder)
    path = local_shard(folder, first_shard(folder))
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert views(folder) == expected
    assert len(server.asked(path.name)) == 2


def test_a_cached_shard_that_was_cut_short_is_fetched_anew(cache, server):
    folder = dataset_folder(server.address)
    path = local_shard(folder, first_shard(folder))
    os.truncate(path, 700)
    assert open_dataset(folder)
    assert local_shard(folder, first_shard(folder)).stat().st_size == first_shard(folder).bytes


def test_a_checksum_is_computed_once_for_each_process_and_file(cache, server, monkeypatch):
    from shards import mirror

    counted = []
    monkeypatch.setattr(mirror, "sha256_of", lambda path: counted.append(path) or first.sha256)
    folder = dataset_folder(server.address)
    first = first_shard(folder)
    for _ in range(3):
        path = local_shard(folder, first)
    assert counted == []  # it was computed while the bytes came
    mirror._checked.clear()
    for _ in range(3):
        local_shard(folder, first)
    assert counted == [path]


def test_a_dataset_that_changed_at_its_address_is_followed_and_stale_shards_are_not_read(cache, server):
    assert views(dataset_folder(server.address))
    before = {name: len(server.asked(name)) for name in digests(server.folder)}
    samples = [sample for number in range(3) for sample in toy_samples("03001627", f"other{number}")]
    reseal(server.folder, "train-000000.tar", samples, objects=3)
    folder = dataset_folder(server.address)
    assert views(folder) == views(server.folder)
    after = {name: len(server.asked(name)) for name in digests(server.folder)}
    assert [name for name in after if after[name] > before[name]] == [INDEX_NAME, "train-000000.tar"]


def test_without_a_connection_a_mirror_that_is_there_is_used_and_stderr_says_so(cache, toy_copy, capsys):
    with serving(toy_copy) as server:
        address = server.address
        expected = views(dataset_folder(address))
    assert views(dataset_folder(address)) == expected
    assert f"{address}/{INDEX_NAME} could not be read" in (said := capsys.readouterr().err)
    assert "going on with the copy of the index" in said
    shutil.rmtree(cache)
    with pytest.raises(Unreachable, match="run the same command again once it can be reached"):
        dataset_folder(address)


def test_no_dataset_at_an_address_is_one_sentence_and_leaves_nothing(cache, server):
    (server.folder / INDEX_NAME).unlink()
    with pytest.raises(IebenchError, match=f"{INDEX_NAME} is not there; check the address"):
        dataset_folder(server.address)
    (server.folder / INDEX_NAME).write_text("{")
    with pytest.raises(IebenchError, match=f"{server.address}/{INDEX_NAME} is not a dataset index"):
        dataset_folder(server.address)
    assert not cache.exists()


def test_an_index_of_any_size_is_not_read_into_memory(cache, server, monkeypatch):
    from shards import mirror

    monkeypatch.setattr(mirror, "LARGEST_INDEX", 1_000)
    with pytest.raises(IebenchError, match="larger than 1,000 bytes"):
        dataset_folder(server.address)


@pytest.mark.parametrize(
    "name", ["../out.tar", "/tmp/out.tar", "a/b.tar", ".hidden.tar", "a\\..\\b.tar", "origin.json"]
)
def test_an_index_cannot_have_anything_written_outside_its_mirror(cache, server, name):
    folder = dataset_folder(server.address)
    hostile = first_shard(folder).model_copy(update={"name": name})
    with pytest.raises(IebenchError, match="not the name of a shard"):
        local_shard(folder, hostile)
    content = json.loads((server.folder / INDEX_NAME).read_text())
    content["splits"]["train"]["shards"][0]["name"] = name
    rewrite_index(server.folder, content)
    with pytest.raises(IebenchError, match=r"not the name of a \.tar file"):
        dataset_folder(server.address)
    assert sorted(path.name for path in cache.rglob("*") if path.is_file()) == [INDEX_NAME, ORIGIN_NAME]


def test_a_dataset_from_elsewhere_with_an_origin_in_it_leads_nowhere(cache, server, tmp_path):
    folder = dataset_folder(server.address)
    stranger = shutil.copytree(folder, tmp_path / "stranger")
    assert origin_of(stranger) is None
    with pytest.raises(IebenchError, match=r"shard .* is missing"):
        open_dataset(stranger)
    in_cache = shutil.copytree(folder, cache / "stranger")
    assert origin_of(in_cache) is None
    assert not [name for name, _ in server.requests if name != INDEX_NAME]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"address": 3}', '{"address": "pipe:ls"}'])
def test_a_broken_origin_is_none(cache, content):
    folder = mirror_folder("pipe:ls") if "pipe" in content else cache / "views"
    folder.mkdir(parents=True)
    (folder / ORIGIN_NAME).write_text(content)
    assert origin_of(folder) is None


def test_the_next_shard_comes_while_one_is_read_and_no_more(cache, server):
    folder = dataset_folder(server.address)
    shards = open_dataset(folder).split("train").shards
    assert len(shards) >= 3
    order = prefetch(folder, shards)
    assert next(order) == shards[0]
    wait_for(lambda: (folder / shards[1].name).exists())
    assert not server.asked(shards[2].name)
    assert [next(order).name, *(shard.name for shard in order)] == [shard.name for shard in shards[1:]]
    wait_for(lambda: (folder / shards[-1].name).exists())


def test_an_error_in_the_background_is_met_by_whoever_reads_the_shard(cache, server):
    folder = dataset_folder(server.address)
    shards = open_dataset(folder).split("train").shards
    server.always[shards[1].name] = Fault(status=403)
    order = prefetch(folder, shards)
    local_shard(folder, next(order))
    with pytest.raises(IebenchError, match=f"{shards[1].name} may not be read"):
        local_shard(folder, next(order))


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, server, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("IEBENCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(IebenchError, match="set IEBENCH_CACHE to another folder"):
        dataset_folder(server.address)


def test_a_complete_mirror_in_a_cache_that_is_read_only_can_be_read(cache, server):
    folder = dataset_folder(server.address)
    expected = views(folder)
    before = {path.name: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())}
    from shards import mirror

    mirror._checked.clear()
    assert views(dataset_folder(server.address)) == expected
    assert {path.name: path.stat().st_mtime_ns for path in (folder, *folder.iterdir())} == before


def test_verify_fetches_every_shard_and_names_one_that_does_not_come(cache, server):
    folder = dataset_folder(server.address)
    index = open_dataset(folder)
    assert list(verify_dataset(folder, index)) == []
    (folder / "train-000001.tar").unlink()
    server.always["train-000001.tar"] = Fault(alter=5)
    (problem,) = verify_dataset(folder, index)
    assert problem.shard == "train-000001.tar" and "another SHA-256" in problem.message


def test_the_cache_stands_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.delenv("IEBENCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_root() == Path("/xdg/iebench")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == tmp_path / ".cache" / "iebench"
    assert mirror_folder("http://a/b") != mirror_folder("http://a-b")


def test_an_address_that_nobody_listens_at_is_one_sentence(cache):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(Unreachable, match="Connect"):
            dataset_folder(f"http://127.0.0.1:{closed.getsockname()[1]}/views")


def test_missing_s3fs_is_one_sentence(cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules, "shards.remote.s3", raising=False)
    with pytest.raises(UsageError, match=r"pip install 'iebench\[s3\]'"):
        dataset_folder("s3://bucket/views")
