"""What only a CUDA device can show: `python -m pytest -m gpu tests/iebench`."""

import gc
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from commands import call, ended, started
from iebench.cli.evaluating import evaluate_networks
from iebench.recipes.recipe import Recipe
from iebench.training import loop
from iebench.training.health import Diverged
from iebench.training.loading import batches_on_device, draw_stream, to_device
from iebench.training.loop import TrainingStopped, train
from iebench.training.metrics_log import read_metrics
from iebench.training.model import build_model
from iebench.training.optimizers import build_optimizer
from iebench.training.processes import Processes
from iebench.training.run import Run, load_checkpoint
from processes import PATIENCE, free_port, wait_for
from shards.errors import IebenchError
from shards.loader import draw_batches
from shards.schema import open_dataset
from small_runs import SMALL, losses, numbers, small_recipe

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA device"),
]
GPU = torch.device("cuda", 0)
CPU = torch.device("cpu")


def trained(data: Path, out: Path, *fields: str, **more: Any) -> list[tuple[int, float]]:
    train(small_recipe(*fields), data, out, "cuda", **more)
    return losses(out)


@pytest.fixture
def exact_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Float32 products without TF32, which a training would ask for."""
    monkeypatch.setattr(loop, "fast_kernels", lambda *arguments: nullcontext())
    for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
        monkeypatch.setattr(backend, "allow_tf32", False)


def test_a_gpu_begins_with_the_losses_of_the_cpu(toy_dataset: Path, tmp_path: Path, exact_products: None):
    fields = ("training.epochs=1", "optimizer.lr=1e-5")
    train(small_recipe(*fields), toy_dataset, tmp_path / "cpu", "cpu")
    found = trained(toy_dataset, tmp_path / "gpu", *fields)
    assert found[0][1] == pytest.approx(losses(tmp_path / "cpu")[0][1], rel=1e-3)
    record = read_metrics(tmp_path / "gpu" / "metrics.jsonl")[-1]
    assert record["peak_memory_gib"] > 0
    machine = json.loads((tmp_path / "gpu" / "config.json").read_text())["machine"]
    assert machine["device"] == torch.cuda.get_device_name(0)


def test_a_stopped_training_is_resumed_on_the_gpu(toy_dataset: Path, tmp_path: Path):
    def stop(step: int, record: dict[str, Any] | None) -> None:
        if step == 6:
            raise TrainingStopped("here")

    whole, parts = tmp_path / "whole", tmp_path / "parts"
    expected = trained(toy_dataset, whole, "training.epochs=3")
    with pytest.raises(TrainingStopped):
        trained(toy_dataset, parts, "training.epochs=3", on_step=stop)
    resumed = call("train", "--resume", parts, "--device", "cuda")
    assert resumed.code == 0, resumed.err
    found = losses(parts)
    assert [step for step, _ in found] == [step for step, _ in expected]
    assert [loss for _, loss in found] == pytest.approx([loss for _, loss in expected], rel=0.05)


def test_a_signal_to_a_training_on_the_gpu_saves_its_state(toy_dataset: Path, tmp_path: Path):
    folder = tmp_path / "run"
    fields = [word for field in (*SMALL, "training.epochs=1000") for word in ("--set", field)]
    command = ["train", "demo", "--data", str(toy_dataset), "--out", str(folder), "--device", "cuda"]
    with started(*command, *fields) as process:
        wait_for(lambda: len(losses(folder)) >= 3, process=process)
        os.kill(process.pid, signal.SIGTERM)
        result = ended(process)
    assert result.code == 130
    assert load_checkpoint(Run(folder).last_checkpoint)["position"]["step"] == losses(folder)[-1][0]


@pytest.mark.parametrize("precision", ["auto", "float32", "float16", "bfloat16"])
def test_every_precision_learns_on_a_gpu(toy_dataset: Path, tmp_path: Path, precision: str):
    if precision == "bfloat16" and torch.cuda.get_device_capability(GPU) < (8, 0):
        pytest.skip("this GPU does not compute in bfloat16")
    fields = ("training.epochs=12", f"training.precision={precision}")
    found = [loss for _, loss in trained(toy_dataset, tmp_path / "run", *fields)]
    assert sum(found[-5:]) < sum(found[:5])
    state = load_checkpoint(Run(tmp_path / "run").last_checkpoint)
    assert all(value.isfinite().all() for value in state["model"].values())
    assert bool(state["scaler"]) is (precision == "float16")


def test_float16_is_resumed_with_the_scale_it_had(toy_dataset: Path, tmp_path: Path):
    fields = ("training.precision=float16", "training.epochs=1")
    trained(toy_dataset, tmp_path / "run", *fields)
    before = load_checkpoint(Run(tmp_path / "run").last_checkpoint)["scaler"]
    trained(toy_dataset, tmp_path / "run", fields[0], "training.epochs=2", resume=True)
    after = load_checkpoint(Run(tmp_path / "run").last_checkpoint)["scaler"]
    assert after["scale"] <= before["scale"]
    assert after["_growth_tracker"] > 0


def test_a_clipped_gradient_in_float16_is_that_of_the_loss(toy_dataset: Path, tmp_path: Path):
    fields = ("training.epochs=1", "optimizer.clip_norm=1e-3")
    for precision in ("float32", "float16"):
        trained(toy_dataset, tmp_path / precision, *fields, f"training.precision={precision}")
    norms = [
        read_metrics(tmp_path / name / "metrics.jsonl")[-1]["gradient_norm"]
        for name in ("float32", "float16")
    ]
    assert norms[1] == pytest.approx(norms[0], rel=0.2)  # a scaled one would be thousands of times larger


def test_a_compiled_training_has_the_losses_of_one_that_is_not(
    toy_dataset: Path, tmp_path: Path, exact_products: None
):
    fields = ("training.epochs=1", "optimizer.lr=1e-5")
    plain = trained(toy_dataset, tmp_path / "plain", *fields, "training.compile=false")
    compiled = trained(toy_dataset, tmp_path / "compiled", *fields, "training.compile=true")
    assert [loss for _, loss in compiled] == pytest.approx([loss for _, loss in plain], rel=1e-2)


def test_batches_of_loader_workers_are_page_locked_and_arrive_whole(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    config = small_recipe("training.lanes=2").training
    for device, pins in ((GPU, True), (CPU, False)):
        stream = draw_stream(config, index, toy_dataset, Processes(0, 1, device))
        with draw_batches(stream, 2, pins) as batches:
            batch = next(batches)
            views, latents, labels = to_device(batch, device)
        if pins:
            assert all(part.views.is_pinned() for part in batch)
            moved = [value.cpu() for value in (*views, *latents, labels)]
            assert {value.device for value in (*views, *latents, labels)} == {GPU}
        else:
            assert all(
                torch.equal(one, other) for one, other in zip(moved, (*views, *latents, labels), strict=True)
            )


def test_batches_copied_one_ahead_on_a_stream_of_their_own_arrive_whole(toy_dataset: Path):
    index = open_dataset(toy_dataset)
    found = []
    for device in (GPU, CPU):
        stream = draw_stream(small_recipe().training, index, toy_dataset, Processes(0, 1, device))
        with draw_batches(stream, 1, device == GPU) as batches:
            taken = [batch for _, batch in zip(range(6), batches_on_device(batches, device), strict=False)]
            busy = torch.randn(2_000, 2_000, device=device) if device == GPU else torch.zeros(1)
            for _ in range(20 if device == GPU else 0):
                busy = busy @ busy
            found.append([[value.cpu() for value in (*batch[0], *batch[1], batch[2])] for batch in taken])
    for ours, theirs in zip(*found, strict=True):
        assert all(torch.equal(one, other) for one, other in zip(ours, theirs, strict=True))


def test_recomputed_activations_give_the_losses_of_those_that_are_kept(toy_dataset: Path, tmp_path: Path):
    """Also where torch.compile makes the kernels, which fuses and so rounds in another order."""
    fields = (
        "training.epochs=1",
        "optimizer.lr=1e-5",
        "training.batch_size=16",
        "training.precision=float32",
    )
    for name, compiled, recomputed in (
        ("plain", "false", "false"),
        ("less", "false", "true"),
        ("both", "true", "true"),
    ):
        more = (f"training.compile={compiled}", f"training.checkpoint_activations={recomputed}")
        trained(toy_dataset, tmp_path / name, *fields, *more)
    plain, less, both = (losses(tmp_path / name) for name in ("plain", "less", "both"))
    assert [loss for _, loss in less] == pytest.approx([loss for _, loss in plain], rel=1e-3)
    assert [loss for _, loss in both] == pytest.approx([loss for _, loss in plain], rel=1e-2)


def test_a_gpu_without_memory_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    gc.collect()
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(GPU).total_memory
    torch.cuda.set_per_process_memory_fraction(64 * 2**20 / total)  # too little for Adam's state alone
    try:
        with pytest.raises(IebenchError, match="checkpoint_activations=true"):
            trained(toy_dataset, tmp_path / "run", "training.batch_size=64")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_fused_optimizer_takes_the_steps_of_the_other(toy_dataset: Path, name: str):
    recipe: Recipe = small_recipe(f"optimizer.name={name}", "optimizer.weight_decay=0.01")
    index = open_dataset(toy_dataset)
    weights = []
    for fused in (True, False):
        model = build_model(recipe, index).to(GPU)
        optimizer = build_optimizer(model, recipe)
        assert all(group["fused"] for group in optimizer.param_groups)
        if not fused:
            for group in optimizer.param_groups:
                group["fused"] = None
        for seed in range(3):
            generator = torch.Generator(GPU).manual_seed(seed)
            for value in model.parameters():
                value.grad = torch.randn(value.shape, generator=generator, device=GPU)
            optimizer.step()
        weights.append(nn.utils.parameters_to_vector(model.parameters()))
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-4, atol=1e-6)


def test_a_divergence_on_the_gpu_keeps_a_good_state(toy_dataset: Path, tmp_path: Path):
    folder = tmp_path / "run"
    trained(toy_dataset, folder, "training.epochs=1")
    with pytest.raises(Diverged, match="--resume"):
        trained(toy_dataset, folder, "training.epochs=4", "optimizer.lr=1e30", resume=True)
    state = load_checkpoint(Run(folder).last_checkpoint)
    assert all(value.isfinite().all() for value in state["model"].values())
    assert all(torch.isfinite(torch.tensor(loss)) for _, loss in trained(toy_dataset, folder, resume=True))


def test_a_run_is_evaluated_on_the_gpu_as_on_the_cpu(toy_dataset: Path, tmp_path: Path, exact_products: None):
    folder = tmp_path / "run"
    trained(toy_dataset, folder, "training.epochs=2")
    found = {
        device: evaluate_networks([str(folder)], toy_dataset, existing="redo", device=device)[str(folder)]
        for device in ("cuda", "cpu")
    }
    found = {
        device: {score.stored_name: score.estimate.value for score in content.scores}
        for device, content in found.items()
    }
    assert found["cuda"].keys() == found["cpu"].keys()
    retrieval = [key for key in found["cpu"] if "retrieval" in str(key)]
    assert retrieval
    for key in retrieval:  # nothing is fitted for these, so that rounding is all there is
        assert found["cuda"][key] == pytest.approx(found["cpu"][key], abs=0.1), key


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are fewer than two GPUs")
def test_two_gpus_have_the_curve_of_one_with_the_same_batch(toy_dataset: Path, tmp_path: Path):
    fields = ("training.batch_size=8", "training.lanes=2", "training.epochs=3", "optimizer.lr=1e-5")
    trained(toy_dataset, tmp_path / "one", *fields)
    result = under_torchrun(toy_dataset, tmp_path / "two", *fields)
    assert result.returncode == 0, result.stderr
    one, two = numbers(tmp_path / "one"), numbers(tmp_path / "two")
    assert [record["step"] for record in two] == [record["step"] for record in one]
    for mine, other in zip(two, one, strict=True):
        assert mine["loss"] == pytest.approx(other["loss"], rel=1e-2)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are fewer than two GPUs")
def test_a_divergence_ends_two_gpus_with_one_sentence(toy_dataset: Path, tmp_path: Path):
    fields = ("training.batch_size=8", "training.lanes=2", "training.epochs=50", "optimizer.lr=1e30")
    result = under_torchrun(toy_dataset, tmp_path / "run", *fields)
    assert result.returncode != 0
    assert result.stderr.count("Error: the loss") == 1


def under_torchrun(data: Path, out: Path, *fields: str) -> subprocess.CompletedProcess[str]:
    options = [word for field in (*SMALL, *fields) for word in ("--set", field)]
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "--master-addr",
        "127.0.0.1",
    ]
    command += ["--master-port", str(free_port()), "-m", "iebench", "train", "demo", "--data", str(data)]
    return subprocess.run(
        [*command, "--out", str(out), "--device", "cuda", *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
