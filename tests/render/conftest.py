"""Models between which some cannot be rendered, what an undisturbed run makes of them, and runs without Blender."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from commands import MANY_VIEWS, call
from fake_workers import End, PaintingEngine
from models import UNUSABLE, write_model
from toys import digests_but_attempts


@pytest.fixture(scope="session")
def mixed_models(toy_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight good objects and two that cannot be rendered; not to be changed."""
    folder = shutil.copytree(toy_models, tmp_path_factory.mktemp("mixed") / "models")
    for kind in ("faceless", "nan"):
        write_model(folder / "03797390" / kind, UNUSABLE[kind][0])
    return folder


@pytest.fixture(scope="session")
def quiet_run(mixed_models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What an undisturbed run leaves, as ``digests_but_attempts`` tells it."""
    out = tmp_path_factory.mktemp("quiet") / "views"
    result = call("render", mixed_models, out, *MANY_VIEWS)
    assert result.code == 0, result.err
    return digests_but_attempts(out)


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., PaintingEngine]:
    """Has renders of this process paint their views from now on; Blender is not needed, and need not be there."""
    from render import dataset

    monkeypatch.setattr(dataset, "require_blender", lambda: None)

    def install(end: End = lambda name, attempt: None, kind: str = "cpu") -> PaintingEngine:
        engine = PaintingEngine(end, kind=kind)
        monkeypatch.setattr(dataset, "open_engine", lambda *_: engine)
        return engine

    return install


@pytest.fixture(scope="module")
def bpy():
    """Blender in this process."""
    return pytest.importorskip("bpy")
