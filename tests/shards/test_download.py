"""Downloads: whatever the connection, the disk or other processes do, a shard comes whole or not at all."""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirrors import first_shard, views
from processes import PATIENCE, wait_for
from shards.errors import IebenchError
from shards.mirror import dataset_folder, local_shard
from shards.origin import ORIGIN_NAME
from shards.reader import read_views
from shards.remote import download
from shards.remote.connection import Unreachable
from shards.schema import INDEX_NAME, open_dataset
from unreliable_server import Fault, serving

LINGER = 10.0
"""Seconds at most in which a client takes what it was sent before the connection drops."""


@pytest.fixture
def taken(monkeypatch) -> Callable[[], int]:
    """How many bytes downloads have taken so far."""
    count, write = [0], download._Sink.write

    def counted(sink, chunk):
        write(sink, chunk)
        count[0] += len(chunk)

    monkeypatch.setattr(download._Sink, "write", counted)
    return lambda: count[0]


@pytest.mark.slow
@pytest.mark.parametrize("ranges", [True, False])
@settings(max_examples=30, deadline=None)
@given(
    drops=st.lists(st.integers(0, 60_000), max_size=download.ATTEMPTS - 1),
    index_drops=st.lists(st.integers(0, 4_000), max_size=2),
    busy=st.booleans(),
)
def test_wherever_the_connection_drops_the_views_are_those_of_the_dataset(
    toy_dataset, ranges, drops, index_drops, busy
):
    with (
        tempfile.TemporaryDirectory() as cache,
        pytest.MonkeyPatch.context() as patch,
        serving(toy_dataset, ranges) as server,
    ):
        patch.setenv("IEBENCH_CACHE", cache)
        patch.setattr(download, "FIRST_WAIT", 0.0)
        faults = [Fault(drop_after=place) for place in drops]
        if busy and faults:
            faults[-1] = Fault(status=503)
        server.faults = {
            "train-000000.tar": faults,
            INDEX_NAME: [Fault(drop_after=place) for place in index_drops],
        }
        folder = dataset_folder(server.address)
        assert views(folder) == views(toy_dataset)
        assert not list(folder.glob(".*"))


def test_a_dropped_connection_is_taken_up_where_it_was(cache, server, taken):
    server.taken = taken
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.faults[shard.name] = [
        Fault(drop_after=1_000, linger=LINGER),
        Fault(drop_after=500, linger=LINGER),
        Fault(status=503),
    ]
    local_shard(folder, shard)
    assert server.asked(shard.name) == ["", "bytes=1000-", "bytes=1500-", "bytes=1500-"]


def test_a_connection_that_drops_again_and_again_is_one_sentence_and_what_came_is_kept(cache, server, taken):
    server.taken = taken
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.always[shard.name] = Fault(drop_after=10, linger=LINGER)
    with pytest.raises(Unreachable, match=rf"{shard.name} could not be read in {download.ATTEMPTS} attempts"):
        local_shard(folder, shard)
    assert len(server.asked(shard.name)) == download.ATTEMPTS
    assert not (folder / shard.name).exists()
    del server.always[shard.name]
    local_shard(folder, shard)
    assert server.asked(shard.name)[-1] == f"bytes={10 * download.ATTEMPTS}-"


@pytest.mark.slow
def test_drops_without_ranges_come_to_an_end_however_much_each_brings(cache, toy_dataset, monkeypatch, taken):
    monkeypatch.setattr(download, "WORTH_IT", 1_000)
    with serving(toy_dataset, ranges=False) as server:
        server.taken = taken
        folder = dataset_folder(server.address)
        shard = first_shard(folder)
        server.always[shard.name] = Fault(drop_after=2_000, linger=LINGER)
        with pytest.raises(Unreachable):
            local_shard(folder, shard)
        assert len(server.asked(shard.name)) <= 2 * download.ATTEMPTS


@pytest.mark.slow
def test_a_long_download_survives_more_drops_than_attempts(cache, server, monkeypatch, taken):
    server.taken = taken
    monkeypatch.setattr(download, "WORTH_IT", 100)
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    drops = 3 * download.ATTEMPTS
    server.faults[shard.name] = [Fault(drop_after=100, linger=LINGER)] * drops
    local_shard(folder, shard)
    assert len(server.asked(shard.name)) == drops + 1


def test_a_body_that_is_short_though_nothing_dropped_is_no_shard(cache, server):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.faults[shard.name] = [Fault(cut_after=700)]
    assert local_shard(folder, shard).stat().st_size == shard.bytes
    (folder / shard.name).unlink()
    whole = (server.folder / shard.name).read_bytes()
    (server.folder / shard.name).write_bytes(whole[:700])
    with pytest.raises(IebenchError, match=f"{shard.name} could not be read"):
        local_shard(folder, shard)
    assert not (folder / shard.name).exists()


def test_no_more_bytes_are_taken_than_the_index_says(cache, server):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.always[shard.name] = Fault(more=bytes(1 << 20))
    assert local_shard(folder, shard).stat().st_size == shard.bytes


def test_wrong_bytes_are_fetched_anew_and_then_an_error_that_names_shard_and_address(cache, server):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.faults[shard.name] = [Fault(alter=99)] * (download.WHOLE_ATTEMPTS - 1)
    local_shard(folder, shard)
    (folder / shard.name).unlink()
    server.always[shard.name] = Fault(alter=99)
    with pytest.raises(IebenchError, match=rf"{shard.name} at {server.address}/.* another SHA-256"):
        local_shard(folder, shard)
    assert sorted(path.name for path in folder.iterdir()) == sorted([INDEX_NAME, ORIGIN_NAME])


def test_what_an_interrupted_download_of_an_earlier_version_left_does_no_harm(cache, server):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    for left in (b"x" * 500, b"x" * (shard.bytes + 1), b"x" * shard.bytes):
        (folder / f".{shard.name}.part").write_bytes(left)
        (folder / shard.name).unlink(missing_ok=True)
        assert local_shard(folder, shard).read_bytes() == (server.folder / shard.name).read_bytes()


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/x", "pipe:cat /etc/hostname"])
def test_redirects_are_followed_to_http_only(cache, server, target):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.always[shard.name] = Fault(location=target)
    with pytest.raises(IebenchError, match="redirect"):
        local_shard(folder, shard)
    server.always[shard.name] = Fault(location=f"{server.address}/other.tar")
    shutil.copy(server.folder / shard.name, server.folder / "other.tar")
    local_shard(folder, shard)


def test_no_redirect_leads_from_a_public_address_to_a_private_one(cache, server, monkeypatch):
    from shards.remote import http

    public = server.address.replace("127.0.0.1", "localhost")
    found = {"localhost": ["93.184.216.34"], "127.0.0.1": ["127.0.0.1"]}
    monkeypatch.setattr(http, "_addresses", found.__getitem__)
    folder = dataset_folder(public)
    shard = first_shard(folder)
    server.faults[shard.name] = [Fault(location=f"{public}/near.tar")]
    server.faults["near.tar"] = [Fault(location=f"{server.address}/secret.tar")]
    with pytest.raises(IebenchError, match="redirects to a private address, which is not followed"):
        local_shard(folder, shard)
    assert server.asked("near.tar") and not server.asked("secret.tar")
    server.faults[shard.name] = [Fault(location=f"{public}/{shard.name}")]
    local_shard(folder, shard)


@pytest.mark.parametrize(
    ("address", "private"),
    [("127.0.0.1", True), ("169.254.169.254", True), ("10.0.0.7", True), ("::1", True), ("fe80::1", True),
     ("93.184.216.34", False), ("2606:2800:220:1::1", False)],
)  # fmt: skip
def test_loopback_and_local_networks_are_private(address, private):
    from shards.remote import http

    assert http._is_private(address) is private


def test_redirects_without_end_are_one_sentence(cache, server):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.always[shard.name] = Fault(location=f"{server.address}/{shard.name}")
    with pytest.raises(IebenchError, match="redirects more than 10 times"):
        local_shard(folder, shard)


def test_names_and_passwords_come_from_netrc_and_stand_nowhere(cache, server, tmp_path, monkeypatch):
    server.required_authorization = "Basic dXNlcjpoaWRkZW4="
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    with pytest.raises(IebenchError, match=r"may not be read .* into ~/.netrc"):
        dataset_folder(server.address)
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password hidden\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    folder = dataset_folder(server.address)
    assert views(folder)
    assert all(b"hidden" not in path.read_bytes() for path in folder.glob("*.json"))


FETCH = """
import sys
from shards.mirror import local_shard
from shards.origin import folder_at
from shards.schema import open_dataset
folder = folder_at(sys.argv[1])
for shard in open_dataset(folder).split("train").shards:
    print(local_shard(folder, shard).stat().st_size == shard.bytes, flush=True)
"""


@pytest.mark.processes
def test_processes_and_threads_that_ask_for_one_shard_fetch_it_once(cache, server):
    folder = dataset_folder(server.address)
    names = [shard.name for shard in open_dataset(folder).split("train").shards]
    release = threading.Event()
    server.faults[names[0]] = [Fault(wait_for=release)]
    command = [sys.executable, "-c", FETCH, server.address]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    threads = [threading.Thread(target=local_shard, args=(folder, first_shard(folder))) for _ in range(3)]
    try:
        for thread in threads:
            thread.start()
        wait_for(lambda: server.asked(names[0]))
        release.set()
        outputs = [process.communicate(timeout=PATIENCE)[0] for process in processes]
    finally:
        release.set()
        for process in processes:
            process.kill()
            process.wait()
    for thread in threads:
        thread.join(60)
    assert outputs == ["True\n" * len(names)] * 3
    assert [len(server.asked(name)) for name in names] == [1] * len(names)
    assert not list(folder.glob(".*"))


@pytest.mark.processes
def test_a_killed_process_leaves_no_lock_and_what_it_fetched_is_taken_up(cache, server):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    part = folder / f".{shard.name}.part"
    server.faults[shard.name] = [Fault(wait_for=threading.Event())]
    with subprocess.Popen([sys.executable, "-c", FETCH, server.address]) as process:
        wait_for(lambda: server.asked(shard.name), process=process)
        process.kill()
    assert part.exists() and not (folder / shard.name).exists()
    part.write_bytes((server.folder / shard.name).read_bytes()[:300])
    local_shard(folder, shard)
    assert server.asked(shard.name) == ["", "bytes=300-"]


@pytest.mark.processes
def test_a_process_that_forks_while_it_fetches_does_not_keep_the_lock(cache, server):
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    release = threading.Event()
    server.faults[shard.name] = [Fault(wait_for=release)]
    thread = threading.Thread(target=local_shard, args=(folder, shard))
    thread.start()
    wait_for(lambda: server.asked(shard.name))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)  # until the test is over
        os._exit(0)
    os.close(reader)
    try:
        release.set()
        thread.join(30)
        (folder / shard.name).unlink()
        local_shard(folder, shard)
        assert len(server.asked(shard.name)) == 2
    finally:
        os.close(writer)
        os.waitpid(child, 0)


@pytest.mark.processes
def test_workers_of_a_loader_read_a_mirror_that_their_parent_has_read_from(cache, server):
    from shards.loader import draw_batches
    from shards.stream import DrawSettings, DrawStream

    folder = dataset_folder(server.address)
    index = open_dataset(folder)
    list(read_views(folder, index, "val"))

    def latents(place):
        with draw_batches(DrawStream(place, index, "train", DrawSettings(4, lanes=2)), 2) as batches:
            return [[part.latents[0].tolist() for part in parts] for parts in islice(batches, 20)]

    batches, expected = latents(folder), latents(server.folder)
    assert batches == expected != []


@pytest.mark.processes
def test_a_full_disk_is_one_sentence_and_the_download_goes_on_once_there_is_room(
    tmp_path, server, monkeypatch
):
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", disk], capture_output=True
    ).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        monkeypatch.setenv("IEBENCH_CACHE", str(disk))
        folder = dataset_folder(server.address)
        shard = first_shard(folder)
        assert shard.bytes > 32_000
        with pytest.raises(IebenchError, match=r"No space left on device.*make room or set IEBENCH_CACHE"):
            local_shard(folder, shard)
        subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)
        assert views(folder) == views(server.folder)
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def test_a_server_that_falls_silent_is_asked_again(cache, server, monkeypatch):
    from shards.remote import http

    monkeypatch.setattr(http, "SECONDS_OF_SILENCE", 2.0)
    http._filesystem.cache_clear()
    release = threading.Event()
    folder = dataset_folder(server.address)
    shard = first_shard(folder)
    server.faults[shard.name] = [Fault(wait_for=release)]
    try:
        local_shard(folder, shard)
        assert len(server.asked(shard.name)) == 2
    finally:
        release.set()
        http._filesystem.cache_clear()
