"""Encoders, checkpoints and results that cannot be used are refused in one sentence."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from commands import call, run
from iebench.backbones.encoder import Encoder
from iebench.cli.evaluating import evaluate_run
from iebench.evaluation import evaluate_encoder
from iebench.evaluation.results import (
    EvaluationFile,
    read_evaluation,
)
from iebench.training.run import Run, save_checkpoint
from shards.errors import IebenchError, UsageError
from shards.schema import open_dataset
from short_evaluations import SHORT, mean_colors
from small_runs import small_recipe


def test_an_old_result_is_one_sentence(tmp_path: Path):
    (tmp_path / "eval.json").write_text("{}")
    with pytest.raises(UsageError, match="is of an older iebench"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 2}', '{"format": 9}'])
def test_a_result_that_cannot_be_read_is_one_sentence(tmp_path: Path, content: str):
    path = EvaluationFile(tmp_path, "views").path
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(IebenchError, match="evaluate again with --force"):
        read_evaluation(tmp_path)


@pytest.mark.parametrize(
    ("encoder", "sentence"),
    [
        (lambda images: images.float().mean(dim=(2, 3)) / 0, "gives NaN or infinite numbers"),
        (lambda images: torch.zeros(len(images), len(images) + 1), "of one width"),
        (lambda images: nn.Linear(7, 3)(images.float().flatten(1)), "fails on images of 32 x 32 px"),
        (lambda images: 1e6 + images.float().mean(dim=(2, 3)), "which float16 cannot hold"),
    ],
)
def test_a_broken_encoder_is_one_sentence(toy_dataset: Path, encoder, sentence: str):
    with pytest.raises(IebenchError, match=sentence):
        evaluate_encoder(encoder, toy_dataset, config=SHORT, device="cpu")


def test_a_run_without_checkpoint_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    Run(tmp_path / "run").create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    result = call("eval", tmp_path / "run", "--data", toy_dataset, "--device", "cpu")
    assert result.code == 2
    assert "no checkpoint" in result.error


@pytest.mark.processes
def test_a_folder_that_is_no_run_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    result = run("eval", tmp_path, "--data", toy_dataset)
    assert result.code == 2
    assert "holds no run" in result.error


def test_a_gpu_without_memory_for_a_batch_is_one_sentence():
    def encode(images: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has")

    with pytest.raises(
        IebenchError, match=r"no memory left for 2 images of large; lower evaluation\.feature"
    ):
        Encoder(encode, "large").try_out(32)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 half"])
def test_a_broken_checkpoint_is_one_sentence(toy_dataset: Path, tmp_path: Path, content: bytes):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    run_folder.last_checkpoint.write_bytes(content)
    with pytest.raises(IebenchError, match="cannot be read"):
        evaluate_run(run_folder, toy_dataset, "cpu")


def test_a_checkpoint_that_would_run_code_is_not_loaded(toy_dataset: Path, tmp_path: Path):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    torch.save({"model": {"weight": Path("somewhere")}}, run_folder.last_checkpoint)
    with pytest.raises(IebenchError, match="cannot be read"):
        evaluate_run(run_folder, toy_dataset, "cpu")


def test_a_checkpoint_of_another_recipe_is_one_sentence(toy_dataset: Path, tmp_path: Path):
    run_folder = Run(tmp_path / "run")
    run_folder.create(small_recipe(), toy_dataset, open_dataset(toy_dataset))
    save_checkpoint(run_folder.last_checkpoint, {"model": {"other": torch.zeros(1)}})
    with pytest.raises(IebenchError, match="does not fit"):
        evaluate_run(run_folder, toy_dataset, "cpu")


def test_a_dataset_without_validation_objects_is_an_error(toy_copy: Path):
    content = json.loads((toy_copy / "dataset.json").read_text())
    content["splits"]["val"] = {"shards": [], "objects": 0, "views": 0}
    (toy_copy / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="no view in split 'val'"):
        evaluate_encoder(mean_colors, toy_copy, config=SHORT, device="cpu")
