"""Datasets and models that many tests share; tests that change one work on a copy."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from unreliable_server import UnreliableServer

DATA = Path(__file__).parent / "data"
EXIT_STATUS = pytest.StashKey[int]()

settings.register_profile(
    "iebench", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)  # machines are busy
settings.load_profile("iebench")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without Blender, the tests that start it are skipped."""
    if importlib.util.find_spec("bpy") is None:
        reason = pytest.mark.skip(reason="Blender (bpy) is not installed")
        for item in items:
            if "blender" in item.keywords:
                item.add_marker(reason)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    session.config.stash[EXIT_STATUS] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends without Python's own end, in which Blender waits for its own threads for ever if it rendered a lot."""
    if "bpy" in sys.modules and not hasattr(config, "workerinput"):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash[EXIT_STATUS])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tests without a mark that allows it start no process, and neither do their fixtures."""
    from no_processes import MARKS, forbidden_processes

    if any(mark.name in MARKS for mark in item.iter_markers()):
        return (yield)
    with forbidden_processes():
        return (yield)


@pytest.fixture(autouse=True, scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Tests, and the commands that they start, leave the cache of the person alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IEBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def toy_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small dataset that no Blender was needed for; not to be changed."""
    from toys import make_toy_dataset

    folder = tmp_path_factory.mktemp("toy") / "views"
    make_toy_dataset(folder)
    return folder


@pytest.fixture(scope="session")
def indexed_dataset(toy_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy dataset with its table of all views; not to be changed."""
    from shards.indexing import index_dataset

    folder = shutil.copytree(toy_dataset, tmp_path_factory.mktemp("indexed") / "data" / "views")
    index_dataset(folder)
    return folder


@pytest.fixture
def indexed_copy(indexed_dataset: Path, tmp_path: Path) -> Path:
    """The toy dataset with its table, to break."""
    return shutil.copytree(indexed_dataset, tmp_path / "indexed")


@pytest.fixture
def toy_copy(toy_dataset: Path, tmp_path: Path) -> Path:
    """A toy dataset to break."""
    return shutil.copytree(toy_dataset, tmp_path / "views")


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight procedural models of two classes; not to be changed."""
    from render.procedural import make_models

    folder = tmp_path_factory.mktemp("models") / "toy"
    make_models(folder, classes=["mug", "bottle"], objects_per_class=4)
    return folder


@pytest.fixture(scope="session")
def rendered_dataset(toy_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The toy models as one worker renders them, through the command line; not to be changed."""
    if importlib.util.find_spec("bpy") is None:
        pytest.skip("Blender (bpy) is not installed")
    from commands import SMALL, call

    folder = tmp_path_factory.mktemp("rendered") / "views"
    result = call("render", toy_models, folder, *SMALL, "--workers", "1")
    assert result.code == 0, result.err
    return folder


@pytest.fixture
def golden_data() -> Path:
    """Models, converged views and the facts of the published scene; see tests/data/README.md."""
    return DATA


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for mirrors, in which nobody waits long for another attempt."""
    from shards.remote import download

    monkeypatch.setenv("IEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(download, "LONGEST_WAIT", 0.002)
    return tmp_path / "cache"


@pytest.fixture
def server(toy_copy: Path) -> Iterator["UnreliableServer"]:
    """A web server of a toy dataset, which misbehaves once it is told to."""
    from unreliable_server import serving

    with serving(toy_copy) as state:
        yield state
