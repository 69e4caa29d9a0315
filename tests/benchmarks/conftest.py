"""Benchmarks as modules, which a test may run in its own process: another would import PyTorch for seconds."""

import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets a test import the scripts by their names."""
    monkeypatch.syspath_prepend(str(SCRIPTS))


@pytest.fixture
def run_here(scripts: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Calls the ``main`` of a script as if it had been started with arguments."""
    threads, interrupt = torch.get_num_threads(), signal.getsignal(signal.SIGINT)

    def run(main: Callable[[], object], *arguments: object) -> None:
        monkeypatch.setattr(sys, "argv", ["script", *map(str, arguments)])
        main()

    yield run
    signal.signal(signal.SIGINT, interrupt)
    torch.set_num_threads(threads)
