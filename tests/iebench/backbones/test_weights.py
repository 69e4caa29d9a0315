import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from iebench.backbones.builtin import BackboneConfig, build_backbone, load_initial_weights
from iebench.backbones.sie_resnet import sie_resnet18
from iebench.backbones.weights import load_exactly, read_weights
from shards.errors import UsageError


class Trap:
    """Runs a function when it is unpickled."""

    def __reduce__(self):
        return (Path.touch, (Path("trap-was-run"),))


@pytest.fixture(scope="module")
def published() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return sie_resnet18().state_dict()


def write(form: str, weights: dict[str, Tensor], folder: Path) -> Path:
    path = folder / f"{form}.weights"
    wrapped = {f"module.backbone.{name}": value for name, value in weights.items()}
    if form == "safetensors":
        save_file(weights, path)
    elif form == "published checkpoint":
        heads = {"module.projector_inv.0.weight": torch.zeros(2, 2)}
        torch.save({"model": wrapped | heads, "optimizer": {"state": {}, "lr": 1e-3}, "epoch": 3}, path)
    elif form == "state dict of a published model":
        torch.save(wrapped, path)
    else:
        torch.save(weights, path)
    return path


@pytest.mark.parametrize(
    "form", ["published checkpoint", "state dict of a published model", "final_weights", "safetensors"]
)
def test_a_training_starts_from_published_weights(published, form: str, tmp_path: Path):
    config = BackboneConfig(name="sie_resnet18", weights=str(write(form, published, tmp_path)))
    backbone = build_backbone(config, 64)
    load_initial_weights(backbone, config)
    for name, value in backbone.state_dict().items():
        assert torch.equal(value, published[name]), name


def test_missing_unexpected_and_misshapen_names_are_all_told(published):
    torch.manual_seed(2)
    network = sie_resnet18()
    before = network.conv1.weight.clone()
    weights = dict(published)
    del weights["bn1.bias"]
    weights["conv1.weight"] = torch.zeros(64, 3, 3, 3)
    weights["fc.weight"] = torch.zeros(5, 512)
    with pytest.raises(UsageError) as caught:
        load_exactly(network, weights, "x.pth")
    assert str(caught.value) == (
        "x.pth holds the weights of another network: missing bn1.bias; unexpected fc.weight; of another shape "
        "conv1.weight (64, 3, 3, 3) instead of (64, 3, 7, 7)"
    )
    assert torch.equal(network.conv1.weight, before)


def test_the_weights_of_another_network_are_one_sentence(published, tmp_path: Path):
    path = write("final_weights", published, tmp_path)
    for name in ("resnet18", "sie_resnet34", "sie_resnet50", "vit_s_16"):
        config = BackboneConfig(name=name, weights=str(path), small_image_stem=False)
        with pytest.raises(UsageError, match=r"holds the weights of another network: .* and \d+ more"):
            load_initial_weights(build_backbone(config, 64), config)


def test_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Trap()}, "a.pth")
    Path("b.pkl").write_bytes(pickle.dumps(Trap()))
    torch.save(nn.Linear(2, 2), "c.pth")
    for name in ("a.pth", "b.pkl", "c.pth"):
        with pytest.raises(
            UsageError, match="is a pickle of more than weights, or cut short, and nothing in it was run"
        ):
            read_weights(Path(name))
    assert not Path("trap-was-run").exists()


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_a_file_that_is_cut_short_is_one_sentence(form: str, tmp_path: Path):
    path = tmp_path / "whole"
    weights = {"weight": torch.zeros(5000)}
    if form == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=form == "zip")
    content = path.read_bytes()
    for length in (0, 3, 12, 100, len(content) // 2, len(content) - 5):
        path.write_bytes(content[:length])
        with pytest.raises(UsageError, match=f"^{path} is ") as caught:
            read_weights(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{}, [1, 2], {"epoch": 3}, {"model": {"a": 1}}, torch.zeros(3)])
def test_a_file_without_a_state_dict_is_one_sentence(content: object, tmp_path: Path):
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(UsageError, match="holds no state dict"):
        read_weights(tmp_path / "x.pth")


def test_no_such_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no weights file"):
        read_weights(tmp_path / "x.pth")
