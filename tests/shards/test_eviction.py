"""A cache with a limit: what was read longest ago goes, and what goes comes again."""

import os
import shutil
import time

import pytest

from commands import call
from mirrors import views
from shards import eviction
from shards.errors import UsageError
from shards.eviction import SIZE_VARIABLE, cache_limit, make_room, mirrors, parse_size
from shards.mirror import dataset_folder, local_shard
from shards.schema import INDEX_NAME, open_dataset


@pytest.fixture
def limit(monkeypatch):
    """Sets the cache's limit to so many bytes, and lets everything go that was read before."""
    monkeypatch.setattr(eviction, "SECONDS_IN_USE", 0.0)
    return lambda size: monkeypatch.setenv(SIZE_VARIABLE, str(size))


def tars(folder):
    return sorted(path.name for path in folder.glob("*.tar"))


@pytest.mark.parametrize(
    ("text", "size"),
    [("20GB", 20 * 10**9), ("1.5 g", 1_500_000_000), ("500M", 500_000_000), ("7", 7), ("3kb", 3000)],
)
def test_sizes_are_written_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1PB", "1 GiB", "1e3"])
def test_other_sizes_are_refused(text, toy_dataset):
    with pytest.raises(UsageError, match="is no size"):
        parse_size(text)
    assert call("stats", toy_dataset, "--cache-size", text).code == 2


def test_the_shard_that_was_read_longest_ago_goes(cache, server, limit):
    folder = dataset_folder(server.address)
    first, second, third = open_dataset(folder).split("train").shards[:3]
    for shard in (first, second):
        local_shard(folder, shard)
    local_shard(folder, first)  # so that the other was used before it
    limit(first.bytes + third.bytes)
    local_shard(folder, third)
    assert tars(folder) == sorted([first.name, third.name])
    assert local_shard(folder, second).is_file()


def test_every_view_is_read_with_room_for_one_shard(cache, server, limit):
    folder = dataset_folder(server.address)
    largest = max(shard.bytes for split in open_dataset(folder).splits.values() for shard in split.shards)
    limit(largest)
    assert views(folder) == views(server.folder)
    assert len(tars(folder)) == 1


def test_what_was_read_a_moment_ago_stays(cache, server, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "1")
    folder = dataset_folder(server.address)
    assert views(folder) == views(server.folder)
    assert tars(folder) == tars(server.folder)
    make_room(0, folder / "none")
    for path in folder.glob("*.tar"):
        os.utime(path, ns=(time.time_ns() - 10**12, path.stat().st_mtime_ns))
    make_room(0, folder / "val-000000.tar")
    assert tars(folder) == ["val-000000.tar"]


def test_what_is_not_the_cache_s_own_never_goes(cache, server, limit, toy_dataset):
    folder = dataset_folder(server.address)
    shutil.copytree(toy_dataset, cache / "mine")
    limit(1)
    assert views(folder)
    assert tars(cache / "mine") == tars(toy_dataset)
    assert (folder / INDEX_NAME).is_file()


def test_without_a_limit_nothing_goes(cache, server, monkeypatch):
    monkeypatch.delenv(SIZE_VARIABLE, raising=False)
    folder = dataset_folder(server.address)
    assert cache_limit() is None and views(folder)
    make_room(10**18, folder / "none")
    assert tars(folder) == tars(server.folder)


def test_the_command_line_limits_the_cache_of_one_command(cache, server, monkeypatch):
    monkeypatch.setenv(SIZE_VARIABLE, "")
    monkeypatch.setattr(eviction, "SECONDS_IN_USE", 0.0)
    assert call("verify", server.address, "--cache-size", "1", "--workers", "1").code == 0
    assert len(tars(dataset_folder(server.address))) == 1


@pytest.mark.processes
def test_the_cache_is_shown_and_cleared(cache, server):
    assert call("cache").out.endswith(f"0.000 GB in {cache} (no limit)\n")
    assert call("stats", server.address, "--workers", "1").code == 0
    (mirror,) = mirrors()
    shown = call("cache").out
    assert server.address in shown and f"{mirror.files:,} files" in shown
    assert call("cache", "--clear", "http://host/other").code == 2
    assert call("cache", "--clear", server.address).out.startswith("1 datasets removed")
    assert mirrors() == [] and call("cache", "--clear", "all").code == 0
