"""Activations that are computed twice: the same numbers from less memory."""

import pytest
import torch
from torch import Tensor, nn

from iebench.backbones.builtin import BackboneConfig, build_backbone
from iebench.training.recompute import RecomputedSequential, recompute_stages

SIZE = 64


def backbones(name: str, compiled: bool = False) -> tuple[nn.Module, nn.Module]:
    """One network twice, the second of which computes its blocks twice."""
    pair = []
    for _ in range(2):
        torch.manual_seed(0)
        network = build_backbone(BackboneConfig(name=name, small_image_stem=False), SIZE).double()
        for parameter in network.parameters():  # the published network starts with blocks that give nothing
            nn.init.normal_(parameter, std=0.1)
        pair.append(network)
    recompute_stages(pair[1], compiled)
    return pair[0], pair[1]


def images(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn((2, 3, SIZE, SIZE), generator=generator, dtype=torch.float64)


def stepped(network: nn.Module, encode=None) -> dict[str, Tensor]:
    """Two calls and a backward pass: outputs, gradients and running statistics."""
    outputs = [(network if encode is None else encode)(images(seed)) for seed in range(2)]
    sum(output.square().sum() for output in outputs).backward()
    gradients = {f"gradient of {name}": value.grad for name, value in network.named_parameters()}
    return {"first": outputs[0], "second": outputs[1], **gradients, **dict(network.named_buffers())}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet18", "sie_resnet18", "vit_s_16"])
def test_outputs_gradients_and_running_statistics_are_those_of_one_computation(name: str):
    plain, recomputed = backbones(name)
    assert any(isinstance(module, RecomputedSequential) for module in recomputed.modules())
    assert list(plain.state_dict()) == list(recomputed.state_dict())
    expected, found = stepped(plain), stepped(recomputed)
    assert list(found) == list(expected)
    for key, value in expected.items():
        assert torch.equal(found[key], value), key


@pytest.mark.slow
def test_torch_compile_takes_a_recomputed_backbone_whole():
    plain, recomputed = backbones("sie_resnet18", compiled=True)
    compiled = torch.compile(recomputed, backend="aot_eager", fullgraph=True)
    expected, found = stepped(plain), stepped(recomputed, compiled)
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, msg=key)


def test_without_gradients_nothing_is_computed_twice():
    _, recomputed = backbones("sie_resnet18")
    calls = []
    recomputed.layer1[0].register_forward_pre_hook(lambda *call: calls.append(1))
    with torch.no_grad():
        recomputed(images(0))
    assert len(calls) == 1
    recomputed(images(0)).sum().backward()
    assert len(calls) == 3


def test_a_batch_norm_is_as_before_after_an_error_in_the_second_computation():
    _, recomputed = backbones("sie_resnet18")
    block = recomputed.layer1[0]
    loss = recomputed(images(0)).sum()

    def fail(*_: object) -> None:
        raise RuntimeError("no memory")

    block.conv2.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="no memory"):
        loss.backward()
    assert block.bn1.momentum == 0.1
    assert block.bn1.num_batches_tracked == 1
