import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import iebench
from iebench.backbones.export import PUBLISHED_MEAN, PUBLISHED_SIZE, PUBLISHED_STD, export_backbone
from iebench.backbones.open_encoder import load_encoder
from iebench.backbones.sie_resnet import sie_resnet18, sie_resnet50
from iebench.recipes.recipe import Recipe
from iebench.training.model import build_model
from iebench.training.run import Run, save_checkpoint
from shards.errors import IebenchError, UsageError
from shards.schema import open_dataset
from small_runs import small_recipe


def make_run(folder: Path, data: Path, recipe: Recipe) -> Path:
    """A run whose network is as it was drawn."""
    model = build_model(recipe, open_dataset(data))
    run = Run(folder)
    run.create(recipe, data, open_dataset(data))
    for path in (run.initial_checkpoint, run.last_checkpoint):
        save_checkpoint(path, {"model": model.state_dict()})
    return folder


@pytest.fixture(scope="module")
def run(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "a", toy_dataset, small_recipe())


@pytest.fixture(scope="module")
def exported(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "backbone.safetensors"
    export_backbone(run, path)
    return path


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 32, 32), dtype=torch.uint8, generator=generator)


@pytest.mark.processes
def test_the_lines_in_the_readme_load_an_exported_backbone_without_iebench(run, exported, images, tmp_path):
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    (lines,) = re.findall(
        r"```python\n((?:(?!```).)*load_file\(\"backbone\.safetensors\"\).*?)```", readme, re.S
    )
    torch.save(images, tmp_path / "images.pt")
    (tmp_path / "backbone.safetensors").write_bytes(exported.read_bytes())
    (tmp_path / "alone.py").write_text(
        "import sys\nsys.modules['iebench'] = sys.modules['shards'] = None\n"
        f"{lines}\n"
        "import torch\n"
        "images = torch.load('images.pt')\n"
        "normalized = (images / 255 - 0.5) / 0.25\n"
        "torch.save(network.eval()(normalized).detach(), 'vectors.pt')\n"
    )
    subprocess.run([sys.executable, "alone.py"], cwd=tmp_path, check=True, timeout=120)
    torch.testing.assert_close(
        torch.load(tmp_path / "vectors.pt"), load_encoder(str(run))(images), rtol=1e-4, atol=1e-5
    )


def test_the_header_says_all_that_using_the_backbone_needs(run, exported, toy_dataset):
    from safetensors import safe_open

    with safe_open(exported, framework="pt") as content:
        header = json.loads(content.metadata()["iebench"])
    assert header["image_size"] == 32
    assert (header["mean"], header["std"]) == ([0.5, 0.5, 0.5], [0.25, 0.25, 0.25])
    assert header["parts"] == {"all": [0, 512], "invariant": [0, 256], "equivariant": [256, 512]}
    assert header["recipe"]["method"]["name"] == "sie"
    assert header["data"] == str(toy_dataset)


def test_load_backbone_gives_what_the_run_gives(run, exported, images):
    backbone = iebench.load_backbone(exported)
    assert backbone.image_size == 32
    normalized = (images / 255 - torch.tensor(backbone.mean).view(3, 1, 1)) / torch.tensor(backbone.std).view(
        3, 1, 1
    )
    vectors = load_encoder(str(run))(images)
    torch.testing.assert_close(backbone(normalized), vectors, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(load_encoder(str(exported))(images), vectors)


@pytest.mark.slow
@pytest.mark.parametrize("backbone", ["sie_resnet18", "vit_s_16"])
def test_other_backbones_are_exported_under_their_own_names(
    backbone: str, toy_dataset: Path, images: torch.Tensor, tmp_path: Path
):
    folder = make_run(
        tmp_path / "run",
        toy_dataset,
        small_recipe(f"backbone.name={backbone}", "method.projector=[48, 48, 24]"),
    )
    path = tmp_path / "backbone.safetensors"
    export_backbone(folder, path)
    encoder = load_encoder(str(folder))
    torch.testing.assert_close(load_encoder(str(path))(images), encoder(images))
    assert set(load_file(path)) == set(encoder.network.state_dict())  # type: ignore[union-attr]


@pytest.mark.parametrize(("build", "width"), [(sie_resnet18, 512), (sie_resnet50, 2048)])
def test_load_backbone_takes_published_checkpoints(build, width: int, tmp_path: Path):
    network = build().eval()
    path = tmp_path / "final_weights.pth"
    torch.save(network.state_dict(), path)
    backbone = iebench.load_backbone(path)
    assert (backbone.mean, backbone.std, backbone.image_size) == (
        PUBLISHED_MEAN,
        PUBLISHED_STD,
        PUBLISHED_SIZE,
    )
    images = torch.randn(2, 3, 64, 64)
    vectors = backbone(images)
    assert vectors.shape == (2, width)
    assert torch.equal(vectors, network(images))


def test_a_published_network_sees_red_and_blue_swapped_as_in_its_training(tmp_path: Path):
    network = sie_resnet18().eval()
    heads = {
        "module.projector_inv.0.weight": torch.zeros(8, 256),
        "module.projector_equi.0.weight": torch.zeros(8, 256),
    }
    weights = {f"module.backbone.{name}": value for name, value in network.state_dict().items()}
    torch.save({"model": weights | heads}, tmp_path / "model.pth")
    encoder = load_encoder(f"published:{tmp_path / 'model.pth'}", image_size=64)
    rgb = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (PUBLISHED_MEAN, PUBLISHED_STD))
    expected = network((rgb[:, [2, 1, 0]] / 255 - mean) / std)
    torch.testing.assert_close(encoder(rgb), expected, rtol=1e-4, atol=1e-5)
    assert encoder.parts == {"all": (0, 512), "invariant": (0, 256), "equivariant": (256, 512)}


def test_an_existing_file_is_not_overwritten(run, exported):
    before = exported.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        export_backbone(run, exported)
    assert exported.read_bytes() == before


def test_a_header_of_something_else_is_one_sentence(exported, tmp_path: Path):
    for header in ({"format": 9}, {"format": 1}, {"format": 1, "backbone": {"name": "x"}}):
        save_file(load_file(exported), tmp_path / "x.safetensors", {"iebench": json.dumps(header)})
        with pytest.raises(IebenchError, match=r"x\.safetensors is"):
            iebench.load_backbone(tmp_path / "x.safetensors")
