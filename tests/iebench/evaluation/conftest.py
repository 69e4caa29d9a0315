import pytest
import torch

from iebench.evaluation import score_store


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Probes of a test are small: several threads would only wait for each other on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """Untrained networks are cached for one test only."""
    monkeypatch.setattr(score_store, "cache_root", lambda: tmp_path / "own-cache")
