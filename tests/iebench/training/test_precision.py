"""Precisions that a device lacks, and gradients of scaled losses."""

from pathlib import Path
from typing import Any

import pytest
import torch

from iebench.training import opening, precision
from iebench.training.loop import train
from iebench.training.precision import Precision, has_fast_bfloat16
from shards.errors import UsageError
from small_runs import numbers, small_recipe

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)
TURING, AMPERE = (7, 5), (8, 0)


def see_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int]) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Some GPU")


def test_float16_on_the_cpu_is_refused_before_there_is_a_run(toy_dataset: Path, tmp_path: Path):
    with pytest.raises(UsageError, match="float16 is for GPUs; on the CPU choose float32, bfloat16, or auto"):
        train(small_recipe("training.precision=float16"), toy_dataset, tmp_path / "run", "cpu")
    assert not (tmp_path / "run").exists()


def test_bfloat16_is_refused_on_gpus_before_ampere(monkeypatch: pytest.MonkeyPatch):
    see_gpu(monkeypatch, TURING)
    with pytest.raises(
        UsageError, match=r"does not compute in bfloat16, .* set training\.precision to float16"
    ):
        Precision("bfloat16", GPU)
    see_gpu(monkeypatch, AMPERE)
    assert Precision("bfloat16", GPU).dtype is torch.bfloat16


@pytest.mark.parametrize(("capability", "chosen"), [(TURING, torch.float32), (AMPERE, torch.bfloat16)])
def test_auto_takes_bfloat16_where_a_gpu_computes_in_it(
    monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], chosen: torch.dtype
):
    see_gpu(monkeypatch, capability)
    assert Precision("auto", GPU).dtype is chosen


@pytest.mark.parametrize(
    ("flags", "fast"), [({"avx2"}, False), ({"avx2", "amx_bf16"}, True), ({"avx512_bf16"}, False)]
)
def test_auto_takes_bfloat16_where_the_cpu_has_instructions_for_it(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], fast: bool
):
    monkeypatch.setattr(precision, "cpu_flags", lambda: flags)
    assert has_fast_bfloat16(CPU) is fast
    assert Precision("auto", CPU).dtype is (torch.bfloat16 if fast else torch.float32)


class Scaled(Precision):
    """Float32 with the scaler of float16, by a power of two, so that scaling rounds nothing."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10, growth_interval=1)


@pytest.mark.parametrize("optimizer", ["adam", "lars"])
def test_clipping_and_norms_are_of_the_loss_and_not_of_the_scaled_one(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, optimizer: str
):
    fields = ("training.batch_size=6", "training.epochs=1", "training.checkpoint_every=1000")
    recipe = small_recipe(*fields, "optimizer.clip_norm=0.5", f"optimizer.name={optimizer}")
    train(recipe, toy_dataset, tmp_path / "plain", "cpu")
    monkeypatch.setattr(opening, "Precision", Scaled)
    train(recipe, toy_dataset, tmp_path / "scaled", "cpu")
    plain, scaled = numbers(tmp_path / "plain"), numbers(tmp_path / "scaled")
    assert len(plain) == 3
    assert all(record["gradient_norm"] > 0.5 for record in plain)
    assert scaled == plain
