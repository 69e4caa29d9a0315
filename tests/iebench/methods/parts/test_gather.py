"""A batch spread over two real processes against the same batch in one."""

import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from every_method import METHODS, small_batch, small_method
from iebench.methods import Batch, Method
from iebench.methods.parts.gather import gather, own_rows, world_size
from iebench.training.synchronized import synchronize_batch_norm
from processes import free_port
from warm_start import spawn_warm

PROCESSES = 2
ROWS = 8


class OnRepresentations(torch.nn.Module):
    """A method behind a layer that stands for the backbone."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(16, 16)
        self.method = method

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        return self.method(batch._replace(views=tuple(map(self.layer, batch.views)))).terms


def result_of(name: str, batch: Batch, wrap: bool) -> dict[str, torch.Tensor]:
    """Loss, terms and the gradient of every parameter, in float64."""
    network: torch.nn.Module = OnRepresentations(small_method(name)).double()
    if wrap:
        synchronize_batch_norm(network)
    trained = DistributedDataParallel(network) if wrap else network
    terms = trained(batch)
    terms["loss"].backward()
    gradients = {
        key: value.grad
        for key, value in network.named_parameters()
        if value.requires_grad and value.grad is not None
    }
    buffers = {key: value for key, value in network.named_buffers() if "running" in key}
    return {**{key: value.detach() for key, value in terms.items()}, **gradients, **buffers}


def double(batch: Batch) -> Batch:
    """Floating-point numbers in float64."""

    def widened(value):
        if isinstance(value, tuple):
            return tuple(map(widened, value))
        return value.detach().double() if value is not None and value.is_floating_point() else value

    return Batch(*map(widened, batch))


def share(batch: Batch, rank: int) -> Batch:
    """One process's rows."""

    def rows(value):
        if isinstance(value, tuple):
            return tuple(map(rows, value))
        return None if value is None else value.chunk(PROCESSES)[rank]

    return Batch(*map(rows, batch))


def process(rank: int, port: int, folder: str) -> None:
    """What one of two processes finds for every method."""
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    dist.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    found = {}
    for name in METHODS:
        batch = double(small_batch(small_method(name), ROWS))
        found[name] = result_of(name, share(batch, rank), wrap=True)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two gloo processes finds with half of the batch."""
    folder = tmp_path_factory.mktemp("gloo")
    spawn_warm(process, PROCESSES, free_port(), str(folder))
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.processes
@pytest.mark.parametrize("name", METHODS)
def test_two_processes_with_half_the_batch_give_the_loss_and_gradients_of_one_with_all(
    spread: list[dict], name: str
):
    alone = result_of(name, double(small_batch(small_method(name), ROWS)), wrap=False)
    for found in spread:
        assert set(found[name]) == set(alone)
        for key, value in alone.items():
            torch.testing.assert_close(found[name][key], value, rtol=1e-9, atol=1e-12, msg=key)


@pytest.mark.parametrize("name", METHODS)
def test_every_parameter_that_learns_takes_part_in_the_loss(name: str):
    """DistributedDataParallel waits for all of them."""
    method = small_method(name)
    learning = {f"method.{key}" for key, value in method.named_parameters() if value.requires_grad}
    assert learning <= set(result_of(name, double(small_batch(method, ROWS)), wrap=False))


def test_in_one_process_gathering_is_nothing():
    rows = torch.randn(4, 3, requires_grad=True)
    assert world_size() == 1
    assert gather(rows) is rows
    assert own_rows(rows) is rows
