"""The memory of a step, calculated without a GPU."""

from types import ModuleType

import pytest
import torch


@pytest.fixture
def step_memory(scripts: None) -> ModuleType:
    """The script as a module."""
    import step_memory

    return step_memory


def test_storages_count_once_and_while_they_live(step_memory: ModuleType):
    with step_memory.LiveBytes() as live:
        kept = torch.zeros(1_000)
        view = kept[:10]
        gone = torch.zeros(500) + 1
        assert live.now == 6_000
        assert live.peak == 8_000
        del gone
        assert (live.now, live.peak) == (4_000, 8_000)
        del kept
        assert live.now == 4_000  # by way of its view
        del view
    assert live.now == 0


@pytest.mark.slow
def test_the_published_batch_fits_40_gb_with_activations_recomputed(step_memory: ModuleType):
    """With 8 GB to spare for CUDA and for what cuDNN's convolutions work in."""
    fields = ("training.precision=bfloat16", "training.checkpoint_activations=true")
    assert 10e9 < step_memory.step_bytes(1024, 256, fields) < 32e9
