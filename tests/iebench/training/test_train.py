"""Training on drawn views: the loop, its checkpoints, and what can go wrong."""

import io
import json
import os
import shutil
import signal
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from commands import Result, call, ended, run, started
from disks import file_system, resize
from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.methods import Batch, Outcome
from iebench.methods.parts.transformations import relative_transformation
from iebench.methods.sie import SIE
from iebench.recipes.recipe import load_recipe
from iebench.training.loading import draw_stream
from iebench.training.loop import TrainingStopped, log_step, progress_bar, train
from iebench.training.metrics_log import read_metrics
from iebench.training.run import Run, load_checkpoint
from iebench.training.schedule import Schedule
from processes import descendants, wait_for
from shards.errors import UsageError
from shards.reader import read_samples
from shards.schema import open_dataset
from shards.stream import DrawSettings, DrawStream
from small_runs import SMALL, losses, numbers, small_recipe
from toys import reseal

BYOL = [
    "method.projector=[32, 16]",
    "method.prediction_width=16",
    "training.batch_size=4",
    "training.log_every=1",
    "training.checkpoint_every=1",
    "training.validate_every=1",
    "training.workers=0",
    "training.precision=float32",
    "backbone.name=resnet10",
    "backbone.small_image_stem=false",
]
BYOL_BACKBONE = BackboneConfig(name="resnet10", small_image_stem=False)


def command(data: Path, out: Path, *more: str) -> list[str]:
    overrides = [word for override in SMALL for word in ("--set", override)]
    return ["train", "demo", "--data", str(data), "--out", str(out), "--device", "cpu", *overrides, *more]


def tensorboard_losses(run_folder: Path) -> list[tuple[int, float]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_folder / "tensorboard")).Reload()
    return [(event.step, event.value) for event in events.Scalars("train/loss")]


@pytest.fixture(scope="module")
def trained(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of four epochs, not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(small_recipe("training.epochs=4"), toy_dataset, folder, "cpu")
    return folder


def test_a_run_folder_holds_configuration_curves_and_checkpoints(trained: Path, toy_dataset: Path):
    config = json.loads((trained / "config.json").read_text())
    assert config["recipe"] == small_recipe("training.epochs=4").model_dump(mode="json")
    schedule = Schedule.from_recipe(small_recipe("training.epochs=4"), open_dataset(toy_dataset))
    assert [step for step, _ in losses(trained)] == list(range(1, schedule.steps + 1))
    assert list((trained / "tensorboard").glob("events.out.tfevents.*"))
    steps = [schedule.steps - 9, schedule.steps - 4, schedule.steps]
    kept = {f"step-{step:08}.pt" for step in steps}
    assert {path.name for path in (trained / "checkpoints").iterdir()} == {"initial.pt", "last.pt", *kept}


def test_an_epoch_is_one_pair_per_object(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    schedule = Schedule.from_recipe(small_recipe("training.epochs=8"), index)
    assert schedule.steps == 8 * index.splits["train"].objects // 4
    assert schedule.epoch(schedule.steps) == pytest.approx(8, abs=0.5)


def test_weights_move_from_the_initial_checkpoint(trained: Path):
    before, after = (
        load_checkpoint(trained / "checkpoints" / name)["model"] for name in ("initial.pt", "last.pt")
    )
    assert set(before) == set(after)
    assert not torch.equal(before["backbone.conv1.weight"], after["backbone.conv1.weight"])


@pytest.mark.slow
def test_the_same_recipe_gives_the_same_losses(trained: Path, toy_dataset: Path, tmp_path: Path):
    train(small_recipe("training.epochs=4"), toy_dataset, tmp_path / "run", "cpu")
    assert losses(tmp_path / "run") == losses(trained)


@pytest.mark.slow
def test_a_run_stopped_at_an_epochs_end_and_resumed_has_the_losses_of_one_that_was_not(
    trained: Path, toy_dataset: Path, tmp_path: Path
):
    train(small_recipe("training.epochs=2"), toy_dataset, tmp_path / "run", "cpu")
    train(small_recipe("training.epochs=4"), toy_dataset, tmp_path / "run", "cpu", resume=True)
    assert losses(tmp_path / "run") == losses(trained)


@pytest.mark.processes
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_state_and_resuming_gives_the_same_losses(
    trained: Path, toy_dataset: Path, tmp_path: Path, number: signal.Signals
):
    folder = tmp_path / "run"
    metrics = folder / "metrics.jsonl"
    with started(*command(toy_dataset, folder, "--set", "training.epochs=1000")) as process:
        wait_for(lambda: metrics.is_file() and metrics.read_text().count("\n") >= 3, process=process)
        os.kill(process.pid, number)
        result: Result = ended(process)
    assert result.code == 130
    assert "--resume" in result.error
    np.testing.assert_allclose(tensorboard_losses(folder), losses(folder), rtol=1e-6)
    train(small_recipe("training.epochs=4"), toy_dataset, folder, "cpu", resume=True)
    assert losses(folder)[: len(losses(trained))] == losses(trained)


@pytest.mark.processes
def test_a_training_killed_at_any_moment_resumes_from_its_last_checkpoint(
    trained: Path, toy_dataset: Path, tmp_path: Path
):
    folder = tmp_path / "run"
    with started(*command(toy_dataset, folder, "--set", "training.epochs=4")) as process:
        wait_for(Run(folder).last_checkpoint.is_file, process=process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    train(small_recipe("training.epochs=4"), toy_dataset, folder, "cpu", resume=True)
    assert losses(folder) == losses(trained)


@pytest.mark.slow
def test_target_networks_heads_and_validation_are_resumed_exactly(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    recipe = load_recipe("byol", [*BYOL, "training.epochs=3"])
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    train(recipe, toy_dataset, whole, "cpu")

    def stop(record: dict[str, Any], *rest: Any) -> None:
        if record["step"] == 7:
            raise TrainingStopped("here")
        log_step(record, *rest)

    with monkeypatch.context() as patch, pytest.raises(TrainingStopped):
        patch.setattr("iebench.training.loop.log_step", stop)
        train(recipe, toy_dataset, parts, "cpu")
    train(recipe, toy_dataset, parts, "cpu", resume=True)
    assert numbers(parts) == numbers(whole)
    assert [record["step"] for record in numbers(whole) if "val_knn_top1" in record] == [5, 9]
    states = [load_checkpoint(Run(folder).last_checkpoint)["model"] for folder in (whole, parts)]
    assert {key.partition(".")[0] for key in states[0]} >= {"target_backbone", "online", "method"}
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


def test_curves_hold_what_watches_for_collapse(trained: Path):
    (record, *_) = read_metrics(trained / "metrics.jsonl")
    spaces = ("representation", "embedding")
    names = {f"{space}_{name}" for space in spaces for name in ("std", "correlation")}
    names |= {f"online_{space}_{name}" for space in spaces for name in ("top1", "rotation_r2")}
    assert names <= set(record)


@pytest.mark.slow
def test_a_method_is_told_exact_transformations_in_bfloat16(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    told: list[torch.Tensor] = []
    forward = SIE.forward

    def spy(method: SIE, batch: Batch) -> Outcome:
        told.append(batch.transformation)
        return forward(method, batch)

    monkeypatch.setattr(SIE, "forward", spy)
    recipe = small_recipe(
        "training.epochs=1", "training.precision=bfloat16", 'method.groups=["rotation", "light"]'
    )
    train(recipe, toy_dataset, tmp_path / "run", "cpu")
    index = open_dataset(toy_dataset)
    stream = DrawStream(toy_dataset, index, "train", DrawSettings(4, seed=recipe.training.seed))
    names = [latent.name for latent in index.latents]
    expected = relative_transformation(*next(iter(stream)).latents, ["rotation", "light"], names)
    assert told[0].dtype == torch.float32
    torch.testing.assert_close(told[0].double(), expected, rtol=0, atol=1e-6)


@pytest.mark.processes
def test_loader_processes_give_every_pair_and_end_with_the_training(toy_dataset: Path, tmp_path: Path):
    train(small_recipe("training.epochs=2", "training.workers=2"), toy_dataset, tmp_path / "run", "cpu")
    assert (
        losses(tmp_path / "run")[-1][0]
        == Schedule.from_recipe(small_recipe("training.epochs=2"), open_dataset(toy_dataset)).steps
    )


def test_a_run_folder_in_use_is_not_overwritten(trained: Path, toy_dataset: Path):
    with pytest.raises(UsageError, match="--resume"):
        train(small_recipe(), toy_dataset, trained, "cpu")


def test_resuming_with_another_recipe_names_the_difference(trained: Path, toy_dataset: Path):
    with pytest.raises(UsageError, match=r"method\.std = 10\.0, not 5\.0"):
        train(small_recipe("method.std=5.0"), toy_dataset, trained, "cpu", resume=True)


@pytest.mark.slow
def test_a_run_goes_on_with_another_optimizer(trained: Path, toy_dataset: Path, tmp_path: Path):
    folder = shutil.copytree(trained, tmp_path / "run")
    before = load_checkpoint(Run(folder).last_checkpoint)
    changes = ("training.epochs=5", "optimizer.name=lars", "optimizer.lr=0.1")
    train(small_recipe(*changes), toy_dataset, folder, "cpu", resume=True)
    after = load_checkpoint(Run(folder).last_checkpoint)
    assert losses(folder)[: len(losses(trained))] == losses(trained)
    assert after["position"]["step"] > before["position"]["step"]
    assert after["optimizer_name"] == "lars"
    (entry,) = json.loads((folder / "config.json").read_text())["history"]
    assert entry["changes"]["optimizer.name"] == ["adam", "lars"]


@pytest.mark.slow
def test_a_training_starts_from_the_weights_of_a_file(toy_dataset: Path, tmp_path: Path):
    file, folder = tmp_path / "weights.pt", tmp_path / "run"
    weights = {
        name: value + 0.25 if value.is_floating_point() else value
        for name, value in build_backbone(BYOL_BACKBONE, 32).state_dict().items()
    }
    torch.save(weights, file)
    fields = ("training.batch_size=18", "training.epochs=1", f"backbone.weights={file}")
    recipe = load_recipe("byol", [*BYOL, *fields])
    train(recipe, toy_dataset, folder, "cpu")
    initial = load_checkpoint(folder / "checkpoints" / "initial.pt")["model"]
    for name, value in weights.items():
        assert torch.equal(initial[f"backbone.{name}"], value), name
        assert torch.equal(initial[f"target_backbone.{name}"], value), name
    file.unlink()  # a resumption takes its own checkpoint
    longer = recipe.model_copy(update={"training": recipe.training.model_copy(update={"epochs": 2})})
    assert train(longer, toy_dataset, folder, "cpu", resume=True).step == 2


def test_weights_of_another_network_are_refused_before_there_is_a_run(toy_dataset: Path, tmp_path: Path):
    file = tmp_path / "weights.pt"
    torch.save({"conv1.weight": torch.zeros(2, 2)}, file)
    with pytest.raises(UsageError, match=r"weights\.pt"):
        train(small_recipe(f"backbone.weights={file}"), toy_dataset, tmp_path / "run", "cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("rank", "count"), [(0, 2), (2, 3)])
def test_a_batch_that_processes_do_not_divide_is_one_sentence(toy_dataset: Path, rank: int, count: int):
    config = small_recipe("training.batch_size=5").training
    share = SimpleNamespace(rank=rank, count=count)
    with pytest.raises(UsageError, match=r"choose a batch size that they divide|set training\."):
        draw_stream(config, open_dataset(toy_dataset), toy_dataset, share)


def test_a_folder_that_a_kill_left_without_configuration_can_be_used(toy_dataset: Path, tmp_path: Path):
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    (folder / ".config.json.01234567.part").touch()
    Run(folder).create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    assert Run(folder).recipe() == small_recipe()


def test_resuming_where_there_is_no_run_is_an_error(toy_dataset: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="holds no run"):
        train(small_recipe(), toy_dataset, tmp_path / "nothing", "cpu", resume=True)


def test_a_batch_larger_than_a_pass_takes_pairs_of_the_next(toy_dataset: Path, tmp_path: Path):
    train(small_recipe("training.batch_size=64", "training.epochs=4"), toy_dataset, tmp_path / "run", "cpu")
    assert len(losses(tmp_path / "run")) == 1


def test_a_recipe_whose_parts_do_not_fit_the_representation_is_an_error(toy_dataset: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="equivariant_dimension = 512"):
        train(small_recipe("method.equivariant_dimension=512"), toy_dataset, tmp_path / "run", "cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_asking_for_a_gpu_that_is_not_there_is_an_error(toy_dataset: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="--device cpu"):
        train(small_recipe(), toy_dataset, tmp_path / "run", "cuda")


def test_a_stopped_training_exits_as_the_shell_expects():
    assert TrainingStopped("").exit_code == 130


@pytest.mark.processes
@pytest.mark.parametrize("workers", [0, 1])
def test_a_view_that_does_not_decode_stops_a_training_with_one_sentence(
    toy_copy: Path, tmp_path: Path, workers: int
):
    shard = open_dataset(toy_copy).splits["train"].shards[0].name
    samples = list(read_samples(toy_copy / shard))
    samples[0]["jpg"] = samples[0]["jpg"][:100]
    reseal(toy_copy, shard, samples)
    start = run if workers else call  # a loader process writes past what ``call`` sees
    result = start(*command(toy_copy, tmp_path / "run", "--set", f"training.workers={workers}"))
    assert result.code == 1
    assert samples[0]["__key__"] in result.error
    assert "iebench verify" in result.error


@pytest.mark.processes
def test_a_killed_loader_worker_stops_a_training_with_one_sentence(toy_dataset: Path, tmp_path: Path):
    folder = tmp_path / "run"
    settings = ("--set", "training.epochs=1000", "--set", "training.workers=2", "--set", "training.lanes=2")
    with started(*command(toy_dataset, folder, *settings)) as process:
        wait_for((folder / "checkpoints" / "last.pt").is_file, process=process)
        killed, _ = descendants(process.pid)
        os.kill(killed.pid, signal.SIGKILL)
        result = ended(process)
    assert result.code == 1
    assert "training.workers" in result.error


@pytest.fixture
def tiny_disk(tmp_path: Path):
    """A disk of 60 MB: the initial checkpoint fits, the training state does not."""
    with file_system(tmp_path / "disk", "60m") as folder:
        yield folder


@pytest.mark.processes
def test_a_full_disk_leaves_no_half_checkpoint_and_training_resumes(
    tiny_disk: Path, trained: Path, toy_dataset: Path
):
    out = tiny_disk / "run"
    result = run(*command(toy_dataset, out, "--set", "training.epochs=4"))
    assert result.code == 1
    assert "No space left" in result.error
    assert [path.name for path in (out / "checkpoints").iterdir()] == ["initial.pt"]
    resize(tiny_disk, "600m")
    train(small_recipe("training.epochs=4"), toy_dataset, out, "cpu", resume=True)
    assert losses(out) == losses(trained)


@pytest.mark.gpu
def test_training_runs_in_mixed_precision_on_a_gpu(toy_dataset: Path, tmp_path: Path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    train(small_recipe("training.epochs=4"), toy_dataset, tmp_path / "run", "cuda")
    assert losses(tmp_path / "run")


def test_the_time_left_is_estimated_from_the_steps_of_this_run(monkeypatch: pytest.MonkeyPatch):
    shown = io.StringIO()
    monkeypatch.setattr(sys, "stderr", shown)
    schedule = Schedule(objects=100, batch_size=10, epochs=100, checkpoint_every=1)  # 1,000 steps
    with progress_bar(schedule, step=900) as bar:
        bar.start_t -= 10  # ten steps in ten seconds, so ninety in another ninety
        bar.last_print_t -= 10
        bar.update(10 * 20)
        bar.refresh()
    line = shown.getvalue().split("\r")[-1]
    assert "91%" in line
    assert "18.2k/20.0k [00:10, 01:30 left, 20.0 images/s]" in line


def test_a_training_says_what_it_runs_on_and_soon_how_long_it_takes(
    toy_dataset: Path, tmp_path: Path, capsys
):
    train(small_recipe("training.epochs=1"), toy_dataset, tmp_path / "run", "cpu")
    lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
    assert lines[0].startswith("training on the CPU")
    assert "in float32, 1 process: 4 steps of 4 pairs, 32 images" in lines[0]
    assert len([line for line in lines if " left at " in line and line.startswith("about ")]) == 1
