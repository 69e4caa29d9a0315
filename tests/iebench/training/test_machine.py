import pytest
import torch

from iebench.training import machine
from iebench.training.machine import COMPILED_STEPS, wants_compile


@pytest.mark.parametrize(
    ("asked", "device", "steps", "compiles"),
    [
        (None, "cuda", COMPILED_STEPS, True),
        (None, "cuda", COMPILED_STEPS - 1, False),
        (None, "cpu", 10**6, False),
        (False, "cuda", 10**6, False),
        (True, "cpu", 1, True),
    ],
)
def test_only_long_runs_on_cuda_compile_unasked(
    monkeypatch: pytest.MonkeyPatch, asked: bool | None, device: str, steps: int, compiles: bool
):
    monkeypatch.setattr(machine.shutil, "which", lambda name: "/usr/bin/cc")
    assert wants_compile(asked, torch.device(device), steps) is compiles


def test_without_a_c_compiler_nothing_compiles_unasked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert not wants_compile(None, torch.device("cuda"), 10**6)
