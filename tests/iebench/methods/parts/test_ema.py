import pytest
import torch

from iebench.methods.parts.ema import cosine_momentum, frozen_copy, update_ema


def test_a_target_is_a_moving_average_of_the_network():
    network = torch.nn.Linear(2, 2, bias=False)
    target = frozen_copy(network)
    start = target.weight.clone()
    with torch.no_grad():
        network.weight.add_(1)
    update_ema(target, network, 0.9)
    torch.testing.assert_close(target.weight, start + 0.1)


def test_a_copy_wants_no_gradient_and_shares_no_memory():
    network = torch.nn.Linear(2, 2)
    target = frozen_copy(network)
    assert not any(value.requires_grad for value in target.parameters())
    assert target.weight.data_ptr() != network.weight.data_ptr()
    assert network.weight.requires_grad


def test_momentum_rises_from_its_base_to_one_by_a_cosine():
    momenta = [cosine_momentum(0.99, step / 100) for step in range(101)]
    assert momenta[0] == pytest.approx(0.99)
    assert momenta[50] == pytest.approx(0.995)
    assert momenta[100] == 1
    assert momenta == sorted(momenta)
