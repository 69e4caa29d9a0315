"""Packing and unpacking can be stopped at any moment: nothing is lost, doubled or left running."""

import os
import shutil
import signal

import pytest

from commands import call, ended, started
from folders import files_of, write_folder
from processes import descendants, wait_for
from toys import digests

VIEWS = 100
"""Of each object: enough that a pack takes longer than finding its workers does."""
STOPPED = "stopped; run the same command again to go on where it was"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    objects = [f"03001627/o{number}" for number in range(40)]
    return write_folder(tmp_path_factory.mktemp("many") / "source", objects, views=VIEWS)


@pytest.fixture(scope="module")
def packed(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "packed"
    assert call(*packing(source, out), "--workers", "1").code == 0
    return out


def packing(source, out):
    return "pack", source, out, "--objects-per-shard", "1"


def stopped(arguments, under_way, number):
    """How a command ends that is stopped once it is under way, and its children, which are gone."""
    with started(*arguments) as process:
        wait_for(under_way, process=process)
        children = descendants(process.pid)
        os.kill(process.pid, number)
        result = ended(process)
    wait_for(lambda: not any(child.alive for child in children))
    return result, children


@pytest.mark.processes
@pytest.mark.parametrize(
    ("workers", "number", "code"),
    [("1", signal.SIGTERM, 130), ("2", signal.SIGINT, 130), ("2", signal.SIGKILL, -signal.SIGKILL)],
)
def test_a_stopped_pack_leaves_no_process_and_goes_on_to_the_same_bytes(
    source, packed, tmp_path, workers, number, code
):
    out = tmp_path / "out"
    arguments = (*packing(source, out), "--workers", workers)
    result, children = stopped(arguments, lambda: list((out / ".pack" / "shards").glob("*.json")), number)
    assert workers == "1" or children
    assert result.code == code, result.err
    if number != signal.SIGKILL:
        assert result.error == STOPPED
        assert not list(out.glob(".*.part"))
    assert not (out / "dataset.json").exists()
    assert "it is not finished: run the same pack command again" in call("show", out).error

    recorded = [path.stem for path in (out / ".pack" / "shards").glob("*.tar.json")]
    sealed = {name: (out / name).stat().st_mtime_ns for name in recorded}
    resumed = call(*arguments)
    assert resumed.code == 0, resumed.err
    assert f"of {40 * VIEWS:,} views are there already" in resumed.err
    assert digests(out) == digests(packed)
    assert sealed and {name: (out / name).stat().st_mtime_ns for name in sealed} == sealed
    assert not (out / ".pack").exists() and not list(out.glob(".*.part"))


@pytest.mark.processes
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_unpack_leaves_no_process_and_goes_on_to_the_same_files(
    source, packed, tmp_path, number, code
):
    out = tmp_path / "out"
    arguments = ("unpack", packed, out, "--workers", "2")
    result, _ = stopped(arguments, lambda: len(list(out.glob("0*/*"))) > 2, number)
    assert result.code == code, result.err
    if number != signal.SIGKILL:
        assert result.error == STOPPED
    assert not (out / "train_images.npy").exists()
    whole = files_of(source)
    there = files_of(out)
    assert there.items() <= whole.items()  # no file that is not whole

    before = {name: (out / name).stat().st_mtime_ns for name in there}
    assert call(*arguments).code == 0
    assert {name: data for name, data in files_of(out).items() if "/" in name} == whole
    assert {name: (out / name).stat().st_mtime_ns for name in there} == before
    assert not (out / ".unpack" / "unfinished").exists()


@pytest.mark.processes
def test_a_worker_that_is_killed_is_one_sentence_and_the_next_run_goes_on(source, packed, tmp_path):
    out = tmp_path / "out"
    arguments = (*packing(source, out), "--workers", "2")
    with started(*arguments) as process:
        wait_for(lambda: list((out / ".pack" / "shards").glob("*.json")), process=process)
        workers = [child for child in descendants(process.pid) if "simplejpeg" in child.libraries]
        os.kill(workers[0].pid, signal.SIGKILL)
        result = ended(process)
    assert result.code == 1, result.err
    assert result.error.startswith("a worker process was ended from outside")
    assert call(*arguments).code == 0
    assert digests(out) == digests(packed)


@pytest.mark.processes
def test_a_second_process_on_the_same_folder_is_refused_and_the_first_goes_on(source, packed, tmp_path):
    out = tmp_path / "out"
    with started(*packing(source, out), "--workers", "1") as process:
        wait_for(lambda: (out / ".pack" / "settings.json").is_file(), process=process)
        process.send_signal(signal.SIGSTOP)
        second = call(*packing(source, out))
        process.send_signal(signal.SIGCONT)
        result = ended(process)
    assert second.code == 2
    assert second.error == f"another process is packing into {out}; wait for it or choose another folder"
    assert result.code == 0, result.err
    assert digests(out) == digests(packed)


@pytest.mark.processes
def test_a_full_disk_is_one_sentence(source, tmp_path):
    """A shard does not fit into 8 KiB, which is all that this process may write into a file."""
    import resource
    import subprocess
    import sys

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, 8192))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = [
        sys.executable,
        "-m",
        "iebench",
        *map(str, packing(source, tmp_path / "out")),
        "--workers",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert "make room and run the same command again" in done.stderr
    shutil.rmtree(tmp_path / "out")
