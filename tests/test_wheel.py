"""A wheel works where the checkout is not."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from test_container import steps
from wheels import ROOT, build_wheel

PACKAGES = ("iebench", "render", "shards")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of what the Dockerfile copies."""
    copied = [name for word, argument in steps() if word == "COPY" for name in argument.split()[:-1]]
    return build_wheel(copied, tmp_path_factory.mktemp("wheel"))


@pytest.mark.processes
def test_what_the_image_copies_exists_and_is_all_that_a_wheel_needs(wheel: Path):
    assert wheel.is_file()


@pytest.mark.processes
def test_the_wheel_holds_every_file_that_the_packages_read(wheel: Path):
    tracked = subprocess.run(
        ["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        assert sorted(set(tracked) - set(archive.namelist())) == []


@pytest.mark.processes
def test_a_clean_environment_runs_the_wheel_without_the_checkout(wheel: Path, tmp_path: Path):
    """The environment is this one's packages with the wheel's files in front, in a process that sees no checkout."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import iebench, render, shards; from pathlib import Path;"
        "assert all(Path(m.__file__).is_relative_to(sys.argv[1]) for m in (iebench, render, shards));"
        "from iebench.cli import main; main(['recipes', 'show', 'sie'], standalone_mode=False);"
        "main(['models', 'make', 'models', '--objects-per-class', '1', '--classes', 'mug'], standalone_mode=False)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, site],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0, done.stderr
    assert "similarity" in done.stdout
    assert list((tmp_path / "models").rglob("*.obj"))
