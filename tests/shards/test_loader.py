import pytest

from shards import loader
from shards.loader import loader_workers


@pytest.mark.parametrize(
    ("cores", "processes", "workers"), [(1, 1, 0), (2, 1, 0), (8, 1, 6), (64, 8, 6), (64, 1, 8), (96, 4, 8)]
)
def test_processes_share_the_cores_that_are_left_for_loader_workers(
    monkeypatch: pytest.MonkeyPatch, cores: int, processes: int, workers: int
):
    monkeypatch.setattr(loader, "available_cores", lambda: cores)
    assert loader_workers(None, processes) == workers
    assert loader_workers(3, processes) == 3
