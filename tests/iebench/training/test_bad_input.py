"""What a person can get wrong is one sentence before the first step, and nothing is lost."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from commands import call
from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.training.loop import train
from iebench.training.run import Run
from small_runs import SMALL, small_recipe


def settings(*fields: str) -> list[str]:
    return [word for field in fields for word in ("--set", field)]


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipes that cannot be read, and files that hold no fitting weights."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "circle.toml").write_text('extends = "circle.toml"\n')
    (folder / "astray.toml").write_text('extends = "sei"\n')
    other = build_backbone(BackboneConfig(name="resnet34", small_image_stem=False), 32).state_dict()
    torch.save(other, folder / "other.pt")
    content = (folder / "other.pt").read_bytes()
    (folder / "short.pt").write_bytes(content[: len(content) // 2])
    (folder / "pickle.pt").write_bytes(pickle.dumps(print))
    return folder


@pytest.mark.parametrize(
    ("recipe", "field", "device", "words"),
    [
        ("circle.toml", "training.epochs=1", "cpu", "extends itself"),
        ("astray.toml", "training.epochs=1", "cpu", "there is no recipe 'sei'"),
        ("sei", "training.epochs=1", "cpu", "did you mean 'sie'"),
        ("demo", "backbone.weights={}/other.pt", "cpu", "holds the weights of another network"),
        ("demo", "backbone.weights={}/short.pt", "cpu", "is no whole weights file"),
        ("demo", "backbone.weights={}/pickle.pt", "cpu", "nothing in it was run"),
        ("demo", "training.epochs=1", "cuda:97", "cuda:97|no CUDA device"),
        ("demo", "training.epochs=1", "gpu", "--device takes"),
        ("demo", "training.precision=float16", "cpu", "float16 is for GPUs"),
        ("demo", "training.precision=float8", "cpu", "training.precision = 'float8'"),
        ("demo", "training.lanes=3", "cpu", "training.batch_size = 4 cannot be shared out to 3 lanes"),
    ],
)
def test_a_new_run_that_cannot_be_is_one_sentence_and_leaves_no_folder(
    toy_dataset: Path, inputs: Path, tmp_path: Path, recipe: str, field: str, device: str, words: str
):
    out = tmp_path / "run"
    name = str(inputs / recipe) if recipe.endswith(".toml") else recipe
    fields = [field.format(inputs)] if recipe.endswith(".toml") else [*SMALL, field.format(inputs)]
    ended = call("train", name, "--data", toy_dataset, "--out", out, "--device", device, *settings(*fields))
    assert ended.code == 2
    assert any(word in ended.error for word in words.split("|")), ended.error
    assert not out.exists()


@pytest.fixture(scope="module")
def finished(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("finished") / "run"
    train(small_recipe("training.epochs=1", "training.batch_size=18"), toy_dataset, folder, "cpu")
    return folder


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ("backbone.name=resnet34", "was started with backbone.name = 'resnet10', not 'resnet34'"),
        ("method.projector=[64, 32]", "method.projector"),
        ("training.batch_size=9", "training.batch_size = 18, not 9"),
    ],
)
def test_a_resumption_that_cannot_be_is_one_sentence_and_leaves_the_run_as_it_was(
    finished: Path, field: str, words: str
):
    before = files(finished)
    ended = call("train", "--resume", finished, "--device", "cpu", *settings("training.epochs=2", field))
    assert ended.code == 2
    assert words in ended.error
    assert files(finished) == before
    assert Run(finished).last_checkpoint.is_file()
