"""One job in two real processes, as torchrun and srun start them, against the same job in one."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from commands import COMMAND, Result
from iebench.cli.evaluating import evaluate_run
from iebench.evaluation.results import EvaluationFile
from iebench.recipes.recipe import Recipe, load_recipe
from iebench.training.loop import train
from iebench.training.run import Run, load_checkpoint
from processes import PATIENCE, descendants, free_port, wait_for
from shards.reader import read_samples
from shards.schema import open_dataset
from small_runs import losses, numbers
from toys import reseal
from warm_start import WarmProcess

TRAINING = [
    "training.batch_size=8",
    "training.lanes=2",
    "training.epochs=3",
    "training.workers=0",
    "training.precision=float32",
    "training.log_every=1",
    "training.checkpoint_every=1",
    "training.validate_every=2",
    "optimizer.lr=1e-5",  # Adam makes a step of that size of a gradient that is nothing but rounding errors
    "backbone.small_image_stem=false",
    "evaluation.epochs=2",
    "evaluation.hidden_width=16",
    "evaluation.linear_color_epochs=2",
    "evaluation.workers=0",
]
METHODS = {
    "sie": ["method.projector=[64, 64, 32]", "backbone.joint_views=true"],
    "simclr": ["method.projector=[32, 16]", "backbone.name=resnet10"],
    "byol": ["method.projector=[32, 16]", "method.prediction_width=16", "backbone.name=resnet10"],
}


def overrides(name: str, *more: str) -> list[str]:
    return [*TRAINING, *METHODS[name], *more]


def recipe(name: str, *more: str) -> Recipe:
    return load_recipe(name, overrides(name, *more))


def train_command(name: str, data: Path, out: Path, *more: str, resume: bool = False) -> list[str]:
    settings = [word for override in overrides(name, *more) for word in ("--set", override)]
    last = ["--resume"] if resume else []
    return ["train", name, "--data", str(data), "--out", str(out), "--device", "cpu", *settings, *last]


@contextmanager
def running(command: Sequence[str], variables: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """A command with all that it starts, which is gone at the end."""
    process = WarmProcess(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | dict(variables or {}),
    )
    try:
        yield process
    finally:
        children = descendants(process.pid)
        if process.poll() is None:
            process.kill()
        for child in children:
            if child.alive:
                os.kill(child.pid, signal.SIGKILL)
        process.communicate()


def result_of(process: subprocess.Popen) -> Result:
    out, err = process.communicate(timeout=PATIENCE)
    return Result(process.returncode, out, err)


def torchrun(arguments: Sequence[str], count: int = 2) -> list[str]:
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(count)),
        *("--master-addr", "127.0.0.1", "--master-port", str(free_port()), "-m", "iebench", *arguments),
    ]


def under_torchrun(arguments: Sequence[str], count: int = 2) -> Result:
    with running(torchrun(arguments, count)) as process:
        return result_of(process)


def slurm_variables(rank: int, count: int, port: int) -> dict[str, str]:
    """What srun sets on a node called 127.0.0.1."""
    return {
        "SLURM_JOB_ID": "4711",
        "SLURM_NTASKS": str(count),
        "SLURM_STEP_ID": "0",
        "SLURM_STEP_NUM_TASKS": str(count),
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_STEP_NODELIST": "127.0.0.1",
        "SLURM_PROCID": str(rank),
        "SLURM_LOCALID": str(rank),
        "MASTER_PORT": str(port),
    }


@contextmanager
def srun(first: Sequence[str], second: Sequence[str]) -> Iterator[list[subprocess.Popen]]:
    """Two tasks; nothing ends the other when one ends."""
    port = free_port()
    with (
        running([*COMMAND, *first], slurm_variables(0, 2, port)) as one,
        running([*COMMAND, *second], slurm_variables(1, 2, port)) as other,
    ):
        yield [one, other]


def under_srun(first: Sequence[str], second: Sequence[str] | None = None) -> list[Result]:
    with srun(first, second or first) as processes:
        return [result_of(process) for process in processes]


def sentences(result: Result) -> list[str]:
    return [line for line in result.err.replace("\r", "\n").split("\n") if line.startswith("Error: ")]


def one_sentence(results: list[Result]) -> tuple[int, str]:
    """The rank that says what went wrong, and what it says; there are no others, and no traceback."""
    said = [(rank, result.error) for rank, result in enumerate(results) if sentences(result)]
    assert len(said) == 1, [result.err for result in results]
    assert not any("Traceback" in result.err for result in results)
    return said[0]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """As in the processes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


WITNESS = """
import atexit, os, time
from pathlib import Path

def tell():
    if "SLURM_PROCID" in os.environ:
        end = time.monotonic() + 10  # a thread that was joined is listed for a moment
        while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < end:
            time.sleep(0.01)
        (Path(__file__).parent / os.environ["SLURM_PROCID"]).write_text(str(len(os.listdir("/proc/self/task"))))

atexit.register(tell)
"""


@pytest.fixture
def threads_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """How many threads each of two tasks of srun still had when its interpreter was taken down."""
    (tmp_path / "sitecustomize.py").write_text(WITNESS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    return lambda: [(tmp_path / str(rank)).read_text() for rank in range(2)]


@pytest.fixture(scope="module")
def alone(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each method in one process, not to be changed."""
    folders = {name: tmp_path_factory.mktemp(name) / "run" for name in METHODS}
    for name, folder in folders.items():
        train(recipe(name), toy_dataset, folder, "cpu")
    return folders


def require_same_curve(found: Path, expected: Path) -> None:
    ours, theirs = (numbers(folder) for folder in (found, expected))
    assert [record["step"] for record in ours] == [record["step"] for record in theirs]
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-3), mine["step"]
    for key, value in theirs[0].items():
        assert ours[0][key] == pytest.approx(value, rel=1e-4, abs=1e-5), key
    validated = [record["step"] for record in theirs if "val_knn_top1" in record]
    assert validated == [record["step"] for record in ours if "val_knn_top1" in record]
    assert len(validated) == 1
    for mine, other in zip(ours, theirs, strict=True):
        for key in (name for name in other if name.startswith("val_")):
            assert mine[key] == pytest.approx(other[key], rel=1e-2, abs=0.18), (
                key
            )  # a view of six may turn over


@pytest.mark.processes
def test_two_processes_of_torchrun_have_the_curve_of_one_with_the_same_batch(
    alone: dict[str, Path], toy_dataset: Path, tmp_path: Path
):
    result = under_torchrun(train_command("sie", toy_dataset, tmp_path / "run"))
    assert result.code == 0, result.err
    assert result.out.count("trained") == 1
    require_same_curve(tmp_path / "run", alone["sie"])
    states = [load_checkpoint(Run(folder).last_checkpoint) for folder in (tmp_path / "run", alone["sie"])]
    assert list(states[0]["model"]) == list(states[1]["model"])
    assert states[0]["position"] == states[1]["position"]


@pytest.mark.processes
def test_two_tasks_of_srun_have_the_curve_of_one_process_and_end_without_a_thread(
    alone: dict[str, Path], toy_dataset: Path, tmp_path: Path, threads_left: Callable[[], list[str]]
):
    results = under_srun(train_command("simclr", toy_dataset, tmp_path / "run", "training.workers=1"))
    assert [result.code for result in results] == [0, 0], results[0].err + results[1].err
    assert ["trained" in result.out for result in results] == [True, False]
    require_same_curve(tmp_path / "run", alone["simclr"])
    assert threads_left() == ["1", "1"]


@pytest.mark.slow
def test_a_job_of_many_tasks_is_trained_in_one_process_where_srun_starts_none(
    alone: dict[str, Path], toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name, value in slurm_variables(0, 4, free_port()).items():
        if not name.startswith("SLURM_STEP"):
            monkeypatch.setenv(name, value)
    train(recipe("byol"), toy_dataset, tmp_path / "run", "cpu")
    assert losses(tmp_path / "run") == losses(alone["byol"])


@pytest.mark.processes
def test_a_run_goes_on_with_another_number_of_processes(
    alone: dict[str, Path], toy_dataset: Path, tmp_path: Path
):
    folder = tmp_path / "run"
    train(recipe("byol", "training.epochs=1"), toy_dataset, folder, "cpu")
    second = train_command("byol", toy_dataset, folder, "training.epochs=2", resume=True)
    results = under_srun(second)
    assert [result.code for result in results] == [0, 0], results[0].err + results[1].err
    train(recipe("byol"), toy_dataset, folder, "cpu", resume=True)
    require_same_curve(folder, alone["byol"])


@pytest.mark.processes
def test_two_processes_evaluate_as_one(alone: dict[str, Path], toy_dataset: Path, tmp_path: Path):
    folder = shutil.copytree(alone["sie"], tmp_path / "run")
    results = under_srun(["eval", str(folder), "--data", str(toy_dataset), "--device", "cpu"])
    assert [result.code for result in results] == [0, 0], results[0].err + results[1].err
    assert [result.out.count("Classification, linear\n") for result in results] == [1, 0]
    found = EvaluationFile(folder, "views").read()
    expected = evaluate_run(Run(alone["sie"]), toy_dataset, "cpu")
    ours, theirs = (
        {score.stored_name: score.estimate.value for score in content.scores} for content in (found, expected)
    )
    assert ours == pytest.approx(theirs, rel=1e-3, abs=1e-4)


@pytest.mark.processes
def test_a_process_that_cannot_read_a_shard_ends_all_with_its_sentence(
    toy_dataset: Path, toy_copy: Path, tmp_path: Path
):
    for shard in open_dataset(toy_copy).split("train").shards:
        samples = list(read_samples(toy_copy / shard.name))
        reseal(toy_copy, shard.name, [{**sample, "jpg": sample["jpg"][:100]} for sample in samples])
    whole, broken = (train_command("byol", data, tmp_path / "run") for data in (toy_dataset, toy_copy))
    results = under_srun(whole, broken)
    assert [result.code for result in results] == [1, 1], results[0].err + results[1].err
    rank, sentence = one_sentence(results)
    assert rank == 1
    assert "iebench verify" in sentence


@pytest.mark.processes
def test_a_process_that_is_killed_ends_all(toy_dataset: Path, tmp_path: Path):
    command = train_command("byol", toy_dataset, tmp_path / "run", "training.epochs=1000")
    with srun(command, command) as (one, other):
        wait_for(Run(tmp_path / "run").last_checkpoint.is_file, process=one)
        other.kill()
        result = result_of(one)
    assert result.code == 1
    assert "lost the others" in result.error


@pytest.mark.processes
def test_a_signal_to_one_process_stops_all_after_the_same_step_and_leaves_no_thread(
    toy_dataset: Path, tmp_path: Path, threads_left: Callable[[], list[str]]
):
    more = ["training.epochs=1000", "training.workers=1"]
    command = train_command("byol", toy_dataset, tmp_path / "run", *more)
    with srun(command, command) as processes:
        wait_for(lambda: len(losses(tmp_path / "run")) >= 2, process=processes[0])
        processes[1].send_signal(signal.SIGTERM)
        results = [result_of(process) for process in processes]
    assert [result.code for result in results] == [130, 130], results[0].err + results[1].err
    rank, sentence = one_sentence(results)
    assert rank == 0
    assert "stopped by SIGTERM" in sentence
    state = load_checkpoint(Run(tmp_path / "run").last_checkpoint)
    assert state["position"]["step"] == losses(tmp_path / "run")[-1][0]
    assert threads_left() == ["1", "1"]


@pytest.mark.processes
def test_torchrun_hands_on_an_interrupt_and_the_state_is_saved(toy_dataset: Path, tmp_path: Path):
    more = ["training.epochs=1000", "training.workers=1", "training.checkpoint_every=1000"]
    with running(torchrun(train_command("byol", toy_dataset, tmp_path / "run", *more))) as process:
        wait_for(lambda: len(losses(tmp_path / "run")) >= 2, process=process)
        process.send_signal(signal.SIGINT)
        result = result_of(process)
    assert result.code != 0
    assert len(sentences(result)) == 1, result.err
    assert "stopped by SIGINT" in result.err
    assert Run(tmp_path / "run").last_checkpoint.is_file()


@pytest.mark.processes
def test_a_batch_that_cannot_be_shared_out_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    results = under_srun(
        train_command("byol", toy_dataset, tmp_path / "run", "training.batch_size=6", "training.lanes=3")
    )
    assert [result.code for result in results] == [2, 2], results[0].err + results[1].err
    assert "set training.lanes to 2" in one_sentence(results)[1]
    assert not (tmp_path / "run").exists()


@pytest.mark.processes
def test_a_run_folder_in_use_is_one_sentence(alone: dict[str, Path], toy_dataset: Path):
    results = under_srun(train_command("byol", toy_dataset, alone["byol"]))
    assert [result.code for result in results] == [2, 2], results[0].err + results[1].err
    assert "--resume" in one_sentence(results)[1]
