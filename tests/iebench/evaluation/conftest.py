import shutil
from pathlib import Path

import pytest
import torch

from iebench.evaluation import score_store
from iebench.training.loop import train
from small_runs import small_recipe


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


@pytest.fixture(scope="module")
def trained(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short run that was not evaluated; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    train(small_recipe("training.epochs=2"), toy_dataset, folder, "cpu")
    return folder


@pytest.fixture
def run_folder(trained: Path, tmp_path: Path) -> Path:
    """A short run to evaluate."""
    return shutil.copytree(trained, tmp_path / "run")
