"""Whole networks in two real processes against one, in double precision: what remains is not rounding."""

import os
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from iebench.backbones.sie_resnet import BasicBlock
from iebench.methods.parts.gather import gather
from iebench.recipes.recipe import load_recipe
from iebench.training.model import Model, build_model
from iebench.training.optimizers import build_optimizer
from iebench.training.recompute import recompute_stages
from iebench.training.synchronized import SynchronizedBatchNorm, synchronize_batch_norm
from processes import free_port
from shards.schema import DatasetIndex, open_dataset
from warm_start import spawn_warm

PROCESSES, ROWS, STEPS = 2, 4, 2
RESNET10 = ["backbone.name=resnet10"]
RECIPES = {
    "sie": ["method.projector=[64, 64, 32]", "backbone.joint_views=true"],
    "equimod_byol_3diebench": ["method.projector=[32, 16]", "method.prediction_width=16", *RESNET10],
    "supervised": RESNET10,
}


class DoubleModel(Model):
    """A model that is told transformations in double precision too."""

    def transformation(self, *arguments) -> torch.Tensor:
        return super().transformation(*arguments).double()


def double_model(name: str, index: DatasetIndex) -> Model:
    recipe = load_recipe(name, [*RECIPES[name], "backbone.small_image_stem=false", "optimizer.lr=1e-3"])
    model = build_model(recipe, index)
    model.__class__ = DoubleModel
    return model.double()


def batch(index: DatasetIndex, step: int):
    generator = torch.Generator().manual_seed(step)
    shape = (ROWS, 3, index.image_size, index.image_size)
    views = [torch.randint(256, shape, dtype=torch.uint8, generator=generator) for _ in range(2)]
    latents = [
        torch.rand(ROWS, len(index.latents), dtype=torch.float64, generator=generator) for _ in range(2)
    ]
    labels = torch.randint(len(index.classes), (ROWS,), generator=generator)
    return tuple(views), tuple(latents), labels


def share(value, rank: int):
    return (
        tuple(share(item, rank) for item in value)
        if isinstance(value, tuple)
        else value.chunk(PROCESSES)[rank]
    )


def trained(name: str, index: DatasetIndex, rank: int | None = None) -> dict[str, torch.Tensor]:
    """All weights and statistics after a few steps, and the terms of each step."""
    model = double_model(name, index)
    optimizer = build_optimizer(model, load_recipe(name, RECIPES[name]))
    network: nn.Module = model
    if rank is not None:
        synchronize_batch_norm(model)
        network = DistributedDataParallel(model)
        network.broadcast_buffers = False
    found = {}
    for step in range(STEPS):
        rows = batch(index, step)
        outcome = network(*(rows if rank is None else share(rows, rank)))
        optimizer.zero_grad()
        outcome.loss.backward()
        optimizer.step()
        model.after_step((step + 1) / STEPS)
        found |= {f"{step}/{key}": value.detach() for key, value in outcome.terms.items()}
    return found | model.state_dict()


WAYS = ["plain", "recomputed", "compiled", "compiled and recomputed"]


def small_network() -> nn.Module:
    torch.manual_seed(0)
    blocks = nn.Sequential(BasicBlock(3, 8, 2, True), BasicBlock(8, 8, 1, False))
    network = nn.Sequential(
        OrderedDict(layer1=blocks, pool=nn.AdaptiveAvgPool2d(1), flat=nn.Flatten())
    ).double()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight)
    return network


class Holder(nn.Module):
    """A module around a network that may be compiled, as a model is around its backbone."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images)


def network_step(way: str, rank: int | None = None) -> dict[str, torch.Tensor]:
    """The output of this process, gradients of the mean loss, and running statistics after one step."""
    network = small_network()
    if rank is not None:
        synchronize_batch_norm(network)
    if "recomputed" in way:
        recompute_stages(network, compiled="compiled" in way)
    images = torch.randn(
        (2 * ROWS, 3, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )
    encode = torch.compile(network, backend="aot_eager", fullgraph=True) if "compiled" in way else network
    if rank is not None:
        encode = DistributedDataParallel(Holder(encode))
        encode.broadcast_buffers = False
    output = encode(images if rank is None else share(images, rank))
    gathered = gather(output)
    (gathered @ gathered.T).square().mean().backward()
    gradients = {f"gradient of {name}": value.grad for name, value in network.named_parameters()}
    return {"output": output.detach(), **gradients, **dict(network.named_buffers())}


def count_exchanges(counts: list[int]) -> None:
    """Has every collective of tensors that Python code asks for add to the last of the counts."""

    def counted(original):
        def count(*arguments):
            counts[-1] += 1
            return original(*arguments)

        return count

    for name in ("all_gather", "all_gather_into_tensor", "all_reduce"):
        setattr(dist, name, counted(getattr(dist, name)))


def exchanges_of_a_step(index: DatasetIndex, rank: int) -> dict[str, int]:
    """How often processes exchange tensors in a step of each recipe, but for the gradients of DistributedDataParallel."""
    found, counts = {}, [0]
    count_exchanges(counts)
    for name in RECIPES:
        model = double_model(name, index)
        synchronize_batch_norm(model)
        of_norms = [0]

        def note(norm: nn.Module, rows: tuple[torch.Tensor], output: torch.Tensor, of_norms=of_norms) -> None:
            of_norms[0] += 1 + output.requires_grad  # one forward, one backward

        for module in model.modules():
            if isinstance(module, SynchronizedBatchNorm):
                module.register_forward_hook(note)
        counts.append(0)
        model(*share(batch(index, 0), rank)).loss.backward()
        found |= {name: counts[-1], f"{name} norms": of_norms[0]}
    return found


def process(rank: int, port: int, data: str, folder: str) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    dist.init_process_group("gloo", rank=rank, world_size=PROCESSES)
    torch._dynamo.config.optimize_ddp = False  # as a training has it
    index = open_dataset(Path(data))
    found = {name: trained(name, index, rank) for name in RECIPES}
    found |= {way: network_step(way, rank) for way in WAYS}
    found["exchanges"] = exchanges_of_a_step(index, rank)
    torch.save(found, Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def spread(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """What each of two gloo processes comes to with half of each batch."""
    folder = tmp_path_factory.mktemp("gloo")
    spawn_warm(process, PROCESSES, free_port(), str(toy_dataset), str(folder))
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


@pytest.mark.processes
@pytest.mark.parametrize("name", RECIPES)
def test_two_processes_come_to_the_weights_of_one(spread: list[dict], toy_dataset: Path, name: str):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = trained(name, open_dataset(toy_dataset))
    torch.set_num_threads(threads)
    for found in spread:
        assert list(found[name]) == list(alone)
        for key, value in alone.items():
            torch.testing.assert_close(found[name][key], value, rtol=1e-6, atol=1e-7, msg=key)


@pytest.mark.processes
@pytest.mark.parametrize("way", WAYS)
def test_a_synchronized_network_is_that_of_one_process_however_it_is_run(spread: list[dict], way: str):
    expected = network_step("plain")
    output = torch.cat([found[way].pop("output") for found in spread])
    torch.testing.assert_close(output, expected.pop("output"))
    for found in spread:
        for key, value in expected.items():
            torch.testing.assert_close(found[way][key], value, msg=key)


@pytest.mark.processes
@pytest.mark.parametrize(("name", "others"), [("sie", 3), ("supervised", 3), ("equimod_byol_3diebench", 6)])
def test_a_step_exchanges_no_more_than_norms_and_embeddings_need(spread: list[dict], name: str, others: int):
    """A batch norm exchanges once in each direction, and so does each loss's gather; the scores of the heads once.

    EquiMod on BYOL has two losses, and its target's embeddings without a gradient.
    """
    counts = spread[0]["exchanges"]
    assert counts[name] == counts[f"{name} norms"] + others


def test_a_synchronized_network_has_the_very_parameters_and_names_of_the_other():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm1d(4)))
    network[1].requires_grad_(False)
    before = network.state_dict(keep_vars=True)
    after = synchronize_batch_norm(network).state_dict(keep_vars=True)
    assert [type(network[1]), type(network[2][0])] == [SynchronizedBatchNorm] * 2
    assert list(after) == list(before)
    assert all(after[key] is before[key] for key in before)


@pytest.mark.parametrize("shape", [(8, 4), (8, 4, 5, 5)])
def test_in_one_process_it_is_batch_norm(shape: tuple[int, ...]):
    images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    plain = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(4)
    synchronized = SynchronizedBatchNorm(4)
    assert torch.equal(synchronized(images), plain(images))
    assert torch.equal(synchronized.running_var, plain.running_var)
    assert torch.equal(synchronized.eval()(images), plain.eval()(images))
