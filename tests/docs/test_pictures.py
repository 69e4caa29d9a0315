"""The script that makes the README's pictures, at toy size."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from iebench.recipes.recipe import load_recipe
from iebench.report.sample import Sample, angles_between, read_sample
from iebench.training.run import Run
from iebench.training.run_encoder import encoder_of_run
from shards.errors import UsageError
from shards.schema import open_dataset
from small_runs import small_recipe, untrained_run

SCRIPT = Path(__file__).parents[2] / "docs" / "pictures.py"


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with few views and poses."""
    spec = importlib.util.spec_from_file_location("pictures", SCRIPT)
    assert spec and spec.loader
    module = sys.modules["pictures"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "GALLERY", 4)
    monkeypatch.setattr(module, "POSES", 3)
    return module


def test_the_turn_is_under_the_light_of_the_view_that_is_nearest_to_upright(
    pictures: ModuleType, toy_dataset: Path
):
    index = open_dataset(toy_dataset)
    sample = read_sample(toy_dataset, index, 1000)
    latents = pictures.shown_latents(index, sample.names[0])
    assert latents.shape == (4 + 3, len(index.latents))
    assert latents[:4].tolist() == sample.latents[0].tolist()
    assert latents[4:, :3].tolist() == [[0, 0, -torch.pi / 2], [0, 0, 0], [0, 0, torch.pi / 2]]
    upright = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    nearest = int(angles_between(sample.poses[:4], upright).argmin())
    assert (latents[4:, 3:] == latents[nearest, 3:]).all()


def test_a_perfect_predictor_retrieves_the_nearest_poses(
    pictures: ModuleType, toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    index = open_dataset(toy_dataset)
    run = untrained_run(tmp_path / "run", toy_dataset, small_recipe())
    encoder = encoder_of_run(run, run.last_checkpoint, index)
    views = read_sample(toy_dataset, index, 1000).views[: 4 + 3]
    poses = Sample(index, views, len(views)).poses.float()

    class Perfect(torch.nn.Module):
        groups = ("rotation",)

        def embed(self, representations: torch.Tensor) -> torch.Tensor:
            return as_matrices(poses[: len(representations)])

        def predict(self, embeddings: torch.Tensor, _told: torch.Tensor) -> torch.Tensor:
            return as_matrices(poses[4:])

    monkeypatch.setattr(encoder, "predictor", Perfect())
    found = pictures.look_up(encoder, index, views)
    assert found.angles.shape == (3, pictures.FOUND)
    assert (found.angles.diff(dim=1) >= 0).all()
    assert found.angles[:, 0].mean() <= found.chance
    assert len(found.gallery) == 3 and len(found.turned) == 3


def as_matrices(quaternions: torch.Tensor) -> torch.Tensor:
    """Products of components, whose cosine falls with the angle of the rotation between them."""
    return (quaternions[:, :, None] * quaternions[:, None, :]).flatten(1)


@pytest.mark.blender
@pytest.mark.slow
def test_the_animation_is_made_of_rendered_views(
    pictures: ModuleType, toy_models: Path, rendered_dataset: Path, tmp_path: Path
):
    (tmp_path / "models").symlink_to(toy_models)
    (tmp_path / "views").symlink_to(rendered_dataset)
    run = untrained_run(tmp_path / "run", rendered_dataset, small_recipe())
    out = tmp_path / "turning.webp"
    pictures.animate(tmp_path, run, out)
    with Image.open(out) as animation:
        assert animation.n_frames == 4  # there and back
        assert animation.is_animated


def test_a_run_without_predictor_is_one_sentence(pictures: ModuleType, toy_dataset: Path, tmp_path: Path):
    (tmp_path / "views").symlink_to(toy_dataset)
    run: Run = untrained_run(tmp_path / "run", toy_dataset, load_recipe("demo_vicreg"))
    with pytest.raises(UsageError, match="no predictor that is told rotations"):
        pictures.animate(tmp_path, run, tmp_path / "turning.webp")
