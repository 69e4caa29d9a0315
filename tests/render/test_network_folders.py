"""Folders that many machines share: NFS keeps deleted files that are open, and some file systems have no locks."""

import contextlib
import errno
import fcntl
import os
from pathlib import Path

import pytest

from render.claims import ShardClaims, take_slot
from render.staging import Staging
from shards.errors import UsageError
from shards.locks import sole_process


def silly_unlink(unlink):
    """Deletes files as an NFS client does: one that this process has open gets another name in its folder."""

    def is_open(path: Path) -> bool:
        held = []
        for entry in Path("/proc/self/fd").iterdir():
            with contextlib.suppress(OSError):
                held.append(entry.readlink())
        return path in held

    def replaced(path, *, dir_fd=None):
        folder = Path(f"/proc/self/fd/{dir_fd}").readlink() if dir_fd is not None else Path()
        place = folder.absolute() / path
        if is_open(place):
            place.rename(place.with_name(f".nfs{place.name}"))
        else:
            unlink(path, dir_fd=dir_fd)

    return replaced


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only Linux lists open files so")
def test_on_nfs_the_folder_of_a_finished_render_or_packing_goes(tmp_path, monkeypatch):
    staging = Staging(tmp_path / "out")
    monkeypatch.setattr(os, "unlink", silly_unlink(os.unlink))
    staging.remove()
    with sole_process(tmp_path / "out" / ".pack", "") as lock:
        lock.remove()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_is_one_sentence(tmp_path, monkeypatch, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    for use in (
        lambda: Staging(tmp_path),
        lambda: ShardClaims(tmp_path).take("a"),
        lambda: take_slot(tmp_path),
    ):
        with pytest.raises(UsageError, match=r"has no file locks.*Lustre mounted with `flock`"):
            use()


def test_a_dataset_goes_on_on_the_kind_of_device_that_began_it_unless_mixing_is_asked_for(tmp_path):
    staging = Staging(tmp_path / "out")
    staging.record_device("cpu", mixed=False)
    staging.record_device("cpu", mixed=False)
    with pytest.raises(UsageError, match="was begun on cpu and would be continued on optix"):
        staging.record_device("optix", mixed=False)
    assert staging.devices() == ("cpu",)
    staging.record_device("optix", mixed=True)
    assert staging.devices() == ("cpu", "optix")
    staging.release()
