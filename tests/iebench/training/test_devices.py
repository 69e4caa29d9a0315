"""Which device a process takes, with as many GPUs as a test likes to see."""

import pytest
import torch

from iebench.training.devices import choose_device
from iebench.training.launch import Launch
from shards.errors import UsageError


@pytest.mark.parametrize(
    ("launch", "visible", "device"),
    [
        (Launch(), 0, "cpu"),
        (Launch(), 2, "cuda:0"),
        (Launch(5, 1, 8, 4), 4, "cuda:1"),
        (Launch(5, 1, 8, 4, by_slurm=True), 1, "cuda:0"),
        (Launch(5, 1, 8, 4, by_slurm=True), 4, "cuda:1"),
    ],
)
def test_each_process_of_a_node_takes_a_gpu_of_its_own(
    monkeypatch: pytest.MonkeyPatch, launch: Launch, visible: int, device: str
):
    see(monkeypatch, visible)
    assert choose_device("auto", launch) == torch.device(device)
    assert choose_device("cpu", launch) == torch.device("cpu")


def test_more_processes_than_gpus_are_an_error_in_all_of_them(monkeypatch: pytest.MonkeyPatch):
    see(monkeypatch, 2)
    for rank in range(4):
        with pytest.raises(UsageError, match="4 processes were started on this node, which has 2 GPUs"):
            choose_device("cuda", Launch(rank, rank, 4, 4))


@pytest.mark.parametrize(("visible", "present"), [(1, "cuda:0 only"), (4, "cuda:0 to cuda:3")])
def test_a_gpu_that_is_not_there_is_named_with_those_that_are(
    monkeypatch: pytest.MonkeyPatch, visible: int, present: str
):
    see(monkeypatch, visible)
    with pytest.raises(UsageError, match=f"no cuda:7 here; this machine has {present}"):
        choose_device("cuda:7", Launch())


def test_a_gpu_can_be_asked_for_by_its_number(monkeypatch: pytest.MonkeyPatch):
    see(monkeypatch, 2)
    assert choose_device("cuda:1", Launch()) == torch.device("cuda", 1)
    with pytest.raises(UsageError, match="2 processes cannot share cuda:1"):
        choose_device("cuda:1", Launch(0, 0, 2, 2))


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:first", "cpu:0"])
def test_a_device_of_no_known_kind_is_an_error(monkeypatch: pytest.MonkeyPatch, device: str):
    see(monkeypatch, 2)
    with pytest.raises(UsageError, match="takes auto, cpu, cuda or a GPU by its number"):
        choose_device(device, Launch())


def see(monkeypatch: pytest.MonkeyPatch, gpus: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
