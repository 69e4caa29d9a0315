"""Which device a process takes, with as many GPUs as a test likes to see."""

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from iebench.training import devices
from iebench.training.devices import (
    choose_device,
    claim_gpu,
    fast_kernels,
    gpu_files,
    gpu_identity,
    require_own_gpus,
)
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


def with_driver(monkeypatch: pytest.MonkeyPatch, is_available: Callable[[], bool]) -> None:
    """A machine with the files of one GPU, of which PyTorch says something."""
    monkeypatch.setattr(devices, "gpu_files", lambda: [Path("/dev/nvidia0")])
    monkeypatch.setattr(torch.cuda, "is_available", is_available)


def test_a_gpu_that_pytorch_cannot_use_is_an_error_and_not_a_training_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
):
    def too_old() -> bool:
        warnings.warn("The NVIDIA driver on your system is too old (found version 11040).\nSee", stacklevel=1)
        return False

    with_driver(monkeypatch, too_old)
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    with pytest.raises(
        UsageError, match=r"a GPU but .*driver on your system is too old.*--device cpu"
    ) as error:
        choose_device("auto", Launch())
    assert "\n" not in str(error.value)
    assert choose_device("cpu", Launch()) == torch.device("cpu")


def test_a_pytorch_without_cuda_is_named_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch):
    with_driver(monkeypatch, lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(UsageError, match="is built without CUDA"):
        choose_device("auto", Launch())


@pytest.mark.parametrize(("hidden", "count"), [(None, 1), ("0", 1), ("", 0), ("-1", 0), ("NoDevFiles", 0)])
def test_gpus_that_are_kept_from_a_process_on_purpose_are_not_missed(
    monkeypatch: pytest.MonkeyPatch, hidden: str | None, count: int
):
    monkeypatch.setattr(Path, "glob", lambda folder, pattern: iter([folder / "nvidia0"]))
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
    assert len(gpu_files()) == count


def test_a_gpu_that_fails_at_first_use_is_one_sentence(monkeypatch: pytest.MonkeyPatch):
    def broken(device: torch.device) -> None:
        raise RuntimeError("CUDA error: uncorrectable ECC error encountered\nCUDA kernel errors might be")

    monkeypatch.setattr(torch.cuda, "set_device", broken)
    with pytest.raises(
        UsageError, match=r"cuda:1 does not work \(CUDA error: uncorrectable ECC error encountered\)"
    ):
        claim_gpu(torch.device("cuda", 1))


def test_processes_that_share_a_gpu_are_named(monkeypatch: pytest.MonkeyPatch):
    properties = [SimpleNamespace(uuid=uuid) for uuid in ("4a1", "4a2", "4a1")]
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties[device.index])
    identities = [gpu_identity(torch.device("cuda", number)) for number in range(3)]
    torch.tensor(identities, dtype=torch.int64)  # as the processes tell each other
    require_own_gpus(identities[:2])
    with pytest.raises(UsageError, match="processes 0, 2 were given the same GPU"):
        require_own_gpus(identities)


@pytest.mark.parametrize(("uses_tf32", "precision"), [(True, "high"), (False, "highest")])
def test_cuda_takes_fast_kernels_for_as_long_as_a_training(uses_tf32: bool, precision: str):
    def flags() -> tuple[bool, str]:
        return torch.backends.cudnn.benchmark, torch.get_float32_matmul_precision()

    before = flags()
    with fast_kernels(torch.device("cpu"), uses_tf32):
        assert flags() == before == (False, "highest")
    with pytest.raises(KeyError), fast_kernels(torch.device("cuda", 0), uses_tf32):
        assert flags() == (True, precision)
        raise KeyError
    assert flags() == before
