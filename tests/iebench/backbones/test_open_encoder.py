from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from iebench.backbones.open_encoder import load_encoder
from shards.errors import UsageError

IMAGES = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_torchvision_without_weights_is_random_the_same_each_time_and_says_so(capsys):
    first, second = (load_encoder("torchvision:resnet18", image_size=32) for _ in range(2))
    assert "torchvision:resnet18 has random weights" in capsys.readouterr().err
    assert first(IMAGES).shape == (2, 512)
    assert torch.equal(first(IMAGES), second(IMAGES))
    assert load_encoder("torchvision:resnet18").image_size == 224


def test_weights_of_torchvision_load_without_their_classifier_and_it_is_said(tmp_path: Path, capsys):
    network = torchvision.models.resnet18().eval()
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    encoder = load_encoder(f"torchvision:resnet18@{tmp_path / 'weights.safetensors'}", image_size=32)
    assert "its classifier is left out (fc.bias, fc.weight)" in capsys.readouterr().err
    network.fc = torch.nn.Identity()
    mean, std = (torch.tensor(value).view(3, 1, 1) for value in (encoder.mean, encoder.std))
    torch.testing.assert_close(encoder(IMAGES), network((IMAGES / 255 - mean) / std), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_a_timm_model_gets_its_own_size_and_normalization(tmp_path: Path, capsys):
    timm = pytest.importorskip("timm")
    encoder = load_encoder("timm:vit_small_patch16_224")
    assert "timm:vit_small_patch16_224 has random weights" in capsys.readouterr().err
    assert (encoder.image_size, encoder.mean) == (224, (0.5, 0.5, 0.5))
    assert encoder.try_out(64) == 384
    network = timm.create_model("vit_small_patch16_224")
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    loaded = load_encoder(f"timm:vit_small_patch16_224@{tmp_path / 'w.safetensors'}")
    assert torch.equal(loaded.network.cls_token, network.cls_token)
    assert "its classifier is left out (head.bias, head.weight)" in capsys.readouterr().err


def test_a_function_in_a_file_is_an_encoder(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text("def mean_color(images):\n    return images.float().mean(dim=(2, 3))\n")
    assert load_encoder(f"{path}:mean_color")(IMAGES).shape == (2, 3)
    with pytest.raises(UsageError, match="has no function 'other'"):
        load_encoder(f"{path}:other")
    path.write_text("import nowhere_to_be_found\n")
    with pytest.raises(UsageError, match="cannot be imported"):
        load_encoder(f"{path}:mean_color")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("no/such/run", "there is no encoder no/such/run; it may be RUN"),
        ("torchvision:resnet19", "torchvision has no model 'resnet19'"),
        ("torchvision:fasterrcnn_resnet50_fpn", "torchvision has no model"),
        pytest.param(
            "timm:hf-hub:someone/model",
            "timm has no model 'hf-hub:someone/model'",
            marks=pytest.mark.slow,  # timm takes its time to be imported
        ),
        ("published:nowhere.pth", "there is no weights file nowhere.pth"),
        ("torchvision:resnet18@nowhere.pth", "there is no weights file nowhere.pth"),
        ("nowhere.py:f", "there is no file nowhere.py"),
    ],
)
def test_what_is_not_there_is_one_sentence(what: str, message: str):
    with pytest.raises(UsageError, match=message):
        load_encoder(what)


def test_weights_of_another_network_are_one_sentence(tmp_path: Path):
    path = tmp_path / "weights.safetensors"
    save_file(torchvision.models.resnet18().state_dict(), path)
    with pytest.raises(UsageError, match="holds the weights of another network: missing"):
        load_encoder(f"torchvision:resnet34@{path}")
    with pytest.raises(UsageError, match="holds the weights of another network: missing"):
        load_encoder(f"published:{path}")
