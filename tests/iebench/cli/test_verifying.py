"""`iebench verify` with several processes: the same words, and none of them outlives it."""

import os
import shutil
import signal
from pathlib import Path

import pytest

from commands import call, ended, run, started
from processes import Process, descendants, wait_for
from shards.samples import encode_sample
from shards.schema import SampleMetadata, open_dataset
from shards.writer import seal_shard
from toys import rewrite_index, toy_samples


def damage(folder):
    """Something wrong in every shard, none of which is like another."""
    for number, path in enumerate(sorted(folder.glob("*.tar"))):
        data = bytearray(path.read_bytes())
        data[1000 + 5000 * number] ^= 1
        path.write_bytes(data)


@pytest.mark.processes
def test_any_number_of_processes_says_the_same(toy_copy):
    damage(toy_copy)
    results = [run("verify", toy_copy, "--workers", workers) for workers in ("1", "2", "4")]
    assert {result.code for result in results} == {1}
    assert len({result.out for result in results}) == len({result.error for result in results}) == 1
    assert len(results[0].out.splitlines()) >= 2 * len(list(toy_copy.glob("*.tar")))


@pytest.mark.processes
def test_a_whole_dataset_is_whole_in_several_processes(toy_dataset):
    result = run("verify", toy_dataset, "--workers", "2")
    assert (result.code, result.out) == (
        0,
        f"{toy_dataset}: 84 views, all as the index and the dataset format say\n",
    )


@pytest.mark.parametrize("workers", ["0", "-1", "many"])
def test_a_number_of_processes_that_is_none_is_refused(toy_dataset, workers):
    result = call("verify", toy_dataset, "--workers", workers)
    assert result.code == 2 and "--workers" in result.error


@pytest.fixture(scope="module")
def long_dataset(toy_dataset, tmp_path_factory):
    """Shards that take seconds each to be checked; not to be changed."""
    folder = shutil.copytree(toy_dataset, tmp_path_factory.mktemp("long") / "views")
    index = open_dataset(folder)
    sample = next(toy_samples("03797390", "mug91"))
    first = SampleMetadata.model_validate_json(sample["json"])
    metadata = (first.model_copy(update={"view": view}) for view in range(8_000))
    samples = (encode_sample(item, {"jpg": sample["jpg"]}) for item in metadata)
    shard = seal_shard(folder / "train-000000.tar", samples, 1)
    names = [f"train-{number:06d}.tar" for number in range(6)]
    for name in names[1:]:
        (folder / name).unlink(missing_ok=True)
        os.link(folder / names[0], folder / name)
    content = index.model_dump(mode="json")
    content["views_per_object"] = 8_000
    content["splits"]["train"]["shards"] = [{**shard.model_dump(), "name": name} for name in names]
    rewrite_index(folder, content)
    return folder


def reads_a_shard(process: Process) -> bool:
    """Whether a process has an archive open."""
    try:
        return any(path.readlink().suffix == ".tar" for path in Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:  # it has just ended
        return False


@pytest.mark.processes
@pytest.mark.parametrize(
    ("number", "code", "when"),
    [
        (
            signal.SIGINT,
            130,
            lambda children: len(children) == 3,
        ),  # two, and the one that tracks what they share
        (signal.SIGINT, 130, lambda children: any(map(reads_a_shard, children))),
        (signal.SIGTERM, 130, lambda children: any(map(reads_a_shard, children))),
        (signal.SIGKILL, -signal.SIGKILL, lambda children: any(map(reads_a_shard, children))),
    ],
    ids=["Ctrl-C at the start", "Ctrl-C", "SIGTERM", "SIGKILL"],
)
def test_a_stopped_verify_leaves_no_process(long_dataset, number, code, when):
    with started("verify", long_dataset, "--workers", "2") as process:
        wait_for(lambda: when(descendants(process.pid)), process=process)
        children = descendants(process.pid)
        if number == signal.SIGINT:
            os.killpg(process.pid, number)  # as a terminal does
        else:
            process.send_signal(number)
        result = ended(process)
    assert result.code == code
    wait_for(lambda: not any(child.alive for child in children))
    if number == signal.SIGKILL:
        assert "Traceback" not in result.err
    else:
        assert result.error.startswith("stopped")
