"""The published backbone against what the published code computes, in float64: see tests/data/README.md."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from iebench.backbones import sie_resnet
from parity_files import parity_folder, published_weights

FILES = sorted(parity_folder("parity_images").glob("resnet*.npz"))


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_outputs_and_gradients_equal_the_published_code_to_1e_10(path: Path):
    arrays = np.load(path, allow_pickle=False)
    config = json.loads(str(arrays["config"]))
    network = getattr(sie_resnet, f"sie_{config['arch']}")().double()
    weights = published_weights(config["shapes"], config["salt"])
    loaded = network.load_state_dict(weights, strict=False)
    assert not loaded.unexpected_keys
    assert all(name.endswith("num_batches_tracked") for name in loaded.missing_keys)

    images = torch.from_numpy(arrays["in.images"]).requires_grad_()
    with torch.no_grad():
        _assert_equal(network.eval()(images), arrays["out.eval"])
    output = network.train()(images)
    _assert_equal(output, arrays["out.train"])
    (output * torch.from_numpy(arrays["in.weights"])).sum().backward()
    norms = {name: value.grad.norm().item() for name, value in network.named_parameters()}
    assert norms == pytest.approx(config["grad_norms"], rel=1e-10)
    _assert_equal(images.grad.flatten(1).norm(dim=1), arrays["grad.images_norm"])


def test_there_are_files_of_the_published_backbones():
    assert {"resnet18", "resnet50"} <= {path.stem for path in FILES}


def _assert_equal(found: torch.Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["sie_resnet18", "sie_resnet34", "sie_resnet50"])
def test_every_block_starts_as_its_shortcut(name: str):
    network = getattr(sie_resnet, name)()
    blocks = [module for module in network.modules() if hasattr(module, "downsample")]
    assert len(blocks) == {"sie_resnet18": 8}.get(name, 16)
    for block in blocks:
        last = [module for module in block.children() if isinstance(module, nn.BatchNorm2d)][-1]
        assert not last.weight.any()


def test_the_max_pool_pads_as_the_published_minus_1e4():
    values = torch.relu(torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)))
    padded = nn.functional.pad(values, (0, 1, 0, 1), value=-1e4)
    assert torch.equal(sie_resnet.sie_resnet18().maxpool(values), nn.functional.max_pool2d(padded, 3, 2))
