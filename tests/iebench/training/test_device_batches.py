"""Batches on their way to the device; a GPU's streams are stood for by a list of what happened in which order."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from iebench.training import loading
from iebench.training.loading import batches_on_device, draw_stream, prefetch_one
from iebench.training.processes import Processes
from shards.loader import draw_batches
from shards.schema import open_dataset
from small_runs import small_recipe

GPU = torch.device("cuda", 0)


class Device:
    """Notes copies, waits and memory that is held, in their order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.events: list[str] = []
        self.inside: list[str] = []
        self.last = ""
        computations = SimpleNamespace(wait_event=lambda copy: self.events.append(f"wait for {copy}"))
        copies = SimpleNamespace(record_event=lambda: self.last)
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: copies)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: computations)
        monkeypatch.setattr(torch.cuda, "stream", self.stream)
        monkeypatch.setattr(loading, "to_device", self.to_device)

    @contextmanager
    def stream(self, stream: SimpleNamespace):
        self.inside.append("copies")
        yield
        self.inside.pop()

    def to_device(self, parts: str, device: torch.device):
        assert self.inside == ["copies"]
        self.last = f"copy of {parts}"
        self.events.append(self.last)
        tensor = SimpleNamespace(
            parts=parts, record_stream=lambda stream: self.events.append(f"hold {parts}")
        )
        return (tensor, tensor), (), tensor


def test_a_batch_is_copied_before_the_step_of_the_one_before_it(monkeypatch: pytest.MonkeyPatch):
    device = Device(monkeypatch)
    for _, _, labels in batches_on_device(iter("abc"), GPU):
        device.events.append(f"step {labels.parts}")
    kept = [event for event in device.events if not event.startswith("hold")]
    assert kept == [
        *("copy of a", "copy of b", "wait for copy of a", "step a"),
        *("copy of c", "wait for copy of b", "step b"),
        *("wait for copy of c", "step c"),
    ]
    assert [device.events.count(f"hold {name}") for name in "abc"] == [3, 3, 3]


@pytest.mark.parametrize("count", range(4))
def test_one_ahead_gives_everything_in_order(count: int):
    assert list(prefetch_one(range(count))) == list(range(count))


def test_what_fails_to_come_is_an_error_and_not_an_end():
    def items():
        yield 1
        yield 2
        raise OSError("no shard")

    ahead = prefetch_one(items())
    assert next(ahead) == 1
    with pytest.raises(OSError, match="no shard"):
        next(ahead)


def test_on_the_cpu_nothing_is_read_ahead(toy_dataset: Path):
    index, read = open_dataset(toy_dataset), []
    stream = draw_stream(small_recipe().training, index, toy_dataset, Processes(0, 1, torch.device("cpu")))
    with draw_batches(stream, 0) as batches:
        watched = (read.append(1) or batch for batch in batches)
        views, latents, labels = next(batches_on_device(watched, torch.device("cpu")))
    assert read == [1]
    assert (len(views), latents[0].dtype, labels.shape) == (2, torch.float64, (4,))
