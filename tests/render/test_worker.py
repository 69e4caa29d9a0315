"""Whose fault it is that a model cannot be read: its own, or that of the file system it is on."""

import errno
import os
from pathlib import Path

import pytest

from models import TRIANGLE, as_object, write_model
from render import worker
from render.catalog import ObjectRef
from render.limits import Limits
from render.model_errors import ModelError, SourceUnavailable
from render.plan import Job, PlanSettings
from render.sources.soundness import require_sound

OUTSIDE = [errno.ESTALE, errno.EIO, errno.ETIMEDOUT, errno.EMFILE, errno.ENFILE, errno.ENOTCONN]


class FakeScene:
    """Reads a model as the scene does, and says so."""

    def __init__(self) -> None:
        self.read: list[Path] = []

    def load(self, path: Path, rescaled: bool) -> str:
        self.read.append(path)
        require_sound(path)
        return "loaded"


@pytest.fixture(autouse=True)
def no_waits(monkeypatch):
    monkeypatch.setattr(worker, "_WAITS", (0.0, 0.0))


def load(item: ObjectRef, scene: FakeScene | None = None) -> str:
    job = Job(item, PlanSettings(), Path())
    with worker._loaded_model(scene or FakeScene(), job, Limits(60, 60)) as loaded:
        return loaded


def failing(monkeypatch, number: int, times: int) -> None:
    """The next so many reads of a file fail."""
    read, left = Path.read_bytes, [times]

    def read_bytes(path: Path) -> bytes:
        if left[0]:
            left[0] -= 1
            raise OSError(number, os.strerror(number), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)


@pytest.mark.parametrize("number", OUTSIDE)
def test_what_a_file_system_or_a_machine_does_wrong_is_no_models_fault(tmp_path, monkeypatch, number):
    item = as_object(write_model(tmp_path, TRIANGLE))
    failing(monkeypatch, number, times=10**6)
    with pytest.raises(SourceUnavailable, match=os.strerror(number)):
        load(item)


def test_a_read_that_fails_now_and_then_is_repeated(tmp_path, monkeypatch):
    item = as_object(write_model(tmp_path, TRIANGLE))
    failing(monkeypatch, errno.ESTALE, times=2)
    scene = FakeScene()
    assert load(item, scene) == "loaded" and len(scene.read) == 3


def test_a_model_that_is_missing_or_is_no_file_is_to_blame_itself(tmp_path):
    write_model(tmp_path / "there", TRIANGLE)
    missing = ObjectRef("class", "a", tmp_path / "none.obj", 0, "train", source=tmp_path)
    with pytest.raises(ModelError, match=r"there is no .*none\.obj"):
        load(missing)
    (tmp_path / "folder.obj").mkdir()
    with pytest.raises(ModelError, match="Is a directory"):
        load(ObjectRef("class", "a", tmp_path / "folder.obj", 0, "train", source=tmp_path))


@pytest.mark.parametrize("state", ["gone", "empty"])
def test_where_the_folder_of_models_has_gone_no_model_is_to_blame(tmp_path, state):
    folder = tmp_path / "mount"
    if state == "empty":
        folder.mkdir()
    with pytest.raises(SourceUnavailable, match="mount"):
        load(ObjectRef("class", "a", folder / "class" / "a.obj", 0, "train", source=folder))


def test_a_disk_without_room_for_unpacking_is_told_at_once(tmp_path):
    class FullScene(FakeScene):
        def load(self, path: Path, rescaled: bool) -> str:
            self.read.append(path)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    scene = FullScene()
    with pytest.raises(OSError, match="No space left"):
        load(as_object(write_model(tmp_path, TRIANGLE)), scene)
    assert len(scene.read) == 1
