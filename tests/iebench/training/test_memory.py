"""A GPU whose memory does not suffice."""

from pathlib import Path

import pytest
import torch

from commands import call
from iebench.training.loop import train
from iebench.training.memory import memory_advice, out_of_memory_as_error
from iebench.training.model import Model
from shards.errors import IebenchError
from small_runs import SMALL, losses, small_recipe

RUN = Path("runs/a")


def run_out(*_: object) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has")


def test_a_training_without_memory_ends_with_one_sentence_whose_advice_works(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder = tmp_path / "run"
    settings = [word for field in (*SMALL, "training.epochs=1") for word in ("--set", field)]
    with monkeypatch.context() as patch:
        patch.setattr(Model, "forward", run_out)
        ended = call("train", "demo", "--data", toy_dataset, "--out", folder, "--device", "cpu", *settings)
    assert ended.code == 1
    command = f"train --resume {folder} --set training.checkpoint_activations=true"
    advice = f"`iebench {command} --set training.precision=bfloat16`, more GPUs"
    assert ended.error.startswith(f"the GPU has no memory left for 4 pairs; {advice}")
    assert call(*command.split(), "--device", "cpu").code == 0
    train(small_recipe("training.epochs=1"), toy_dataset, tmp_path / "plain", "cpu")
    assert losses(folder) == losses(tmp_path / "plain")


def test_what_is_lowered_already_is_not_advised():
    recipe = small_recipe("training.checkpoint_activations=true", "training.batch_size=8")
    assert "--set training.precision=bfloat16`" in memory_advice(recipe, RUN, 1)
    assert "checkpoint_activations" not in memory_advice(recipe, RUN, 1)
    lowest = small_recipe("training.checkpoint_activations=true", "training.precision=bfloat16")
    assert memory_advice(lowest, RUN, 2).startswith("the GPU has no memory left for 2 pairs; more GPUs")


@pytest.mark.parametrize(
    "text", ["CUDA error: out of memory\nCUDA kernel", "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"]
)
def test_libraries_that_find_no_memory_are_understood(text: str):
    with pytest.raises(IebenchError, match="no memory left"), out_of_memory_as_error(small_recipe(), RUN, 1):
        raise RuntimeError(text)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_as_error(small_recipe(), RUN, 1):
        raise RuntimeError("shapes do not fit")
