"""Where probes and features lie on a machine with a GPU; FakeTensorMode stands for it."""

from typing import Any

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from iebench.evaluation import probes
from iebench.evaluation.feature_rows import FeatureRows
from iebench.evaluation.features import Features
from iebench.evaluation.knn import kth_similarity, nearest_classes
from iebench.evaluation.probe_stack import ProbeStack
from iebench.evaluation.probes import Probe, ProbeInput
from iebench.evaluation.protocol import EvaluationConfig, Protocol
from iebench.evaluation.tasks import probe_tasks
from shards.variants import VARIANTS

LATENTS = [latent.name for latent in VARIANTS["3diebench"]]
CUDA, CPU = torch.device("cuda", 0), torch.device("cpu")
ROOM = {"fits": 2**40, "does not fit": 0}


class MovedStack(ProbeStack):
    """Moves as a stack of real tensors would; swapping the insides of fake ones is not possible."""

    def to(self, *arguments: Any, **settings: Any) -> "MovedStack":
        for held in (self.weights, self.biases):
            for number, value in enumerate(held):
                held[number] = nn.Parameter(value.detach().to(*arguments))
        return self


def features() -> Features:
    """6 objects of 4 views of 8 numbers on the host, half precision."""
    return Features(
        torch.empty(6, 4, 8, dtype=torch.float16),
        torch.empty(6, 4, 7, dtype=torch.float64),
        torch.zeros(6, dtype=torch.int64),
        [],
    )


@pytest.mark.parametrize("room", ROOM)
@pytest.mark.parametrize("protocol", ["published", "thorough"])
def test_probes_get_batches_on_the_gpu_in_float32_wherever_features_lie(
    protocol: Protocol, room: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (ROOM[room], 2**40))
    monkeypatch.setattr(probes, "ProbeStack", MovedStack)
    config = EvaluationConfig(protocol=protocol, hidden_width=16, batch_size=4)
    tasks, _ = probe_tasks(LATENTS, 3, 4, config)
    assert len(tasks) == 9
    with FakeTensorMode(allow_non_fake_inputs=True):
        known = ProbeInput(features(), features())
        for task in tasks:
            fit = probes._Fit([Probe("a", "all", (0, 8), task)], {"a": known}, config, CUDA)
            rows = {"a": FeatureRows(known.train, CUDA, fit.standardizations["a"])}
            assert rows["a"]._rows.device == (CUDA if room == "fits" else CPU)
            assert rows["a"]._rows.dtype == torch.float16
            batches = list(fit._batches(0, rows))
            assert batches
            for inputs, targets in batches:
                assert (inputs.device, inputs.dtype) == (CUDA, torch.float32)
                assert (targets.device, fit._loss(fit.stack(inputs), targets).device) == (CUDA, CUDA)


@pytest.mark.parametrize("room", ROOM)
def test_neighbors_are_found_on_the_gpu_and_named_on_the_host(room: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (ROOM[room], 2**40))
    with FakeTensorMode(allow_non_fake_inputs=True):
        train, queries = (torch.empty(rows, 8, dtype=torch.float16) for rows in (30, 7))
        classes = nearest_classes(train, torch.zeros(30, dtype=torch.int64), queries, 3, CUDA)
        similarities = kth_similarity(train, queries, CUDA)
    assert (classes.device, classes.dtype, classes.shape) == (CPU, torch.int64, (7, 3))
    assert (similarities.device, similarities.dtype, similarities.shape) == (CPU, torch.float32, (7,))
