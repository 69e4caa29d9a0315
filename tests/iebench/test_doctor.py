import subprocess
import sys
from pathlib import Path

import pytest

from commands import call
from iebench import doctor


@pytest.mark.processes
def test_doctor_names_python_blender_libraries_gpu_and_disk():
    result = call("doctor")
    for what in ("Python", "Blender", "system libraries", "torch", "GPU", "disk"):
        assert what in result.out


@pytest.mark.processes
def test_a_library_that_is_missing_comes_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(doctor.BLENDER_LIBRARIES, "libnowhere.so.7", "libnowhere7")
    (problem,) = [problem for problem in doctor.setup_problems() if "libnowhere" in problem]
    assert problem.endswith("apt-get install -y libnowhere7")
    monkeypatch.setattr(
        doctor, "_blender", lambda: doctor.Check("Blender", True, "it takes seconds to start")
    )
    result = call("doctor")
    assert result.code == 1
    assert "-> apt-get install -y libnowhere7" in result.out


def test_another_python_is_told_which_one_blender_needs(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "version_info", (3, 13, 0, "final", 0))
    assert any("3.11 only" in problem and "PYTHON=" in problem for problem in doctor.setup_problems())


@pytest.mark.processes
def test_what_set_up_looks_at_needs_nothing_but_python():
    root = Path(__file__).parents[2]
    program = f"import sys; sys.path.insert(0, {str(root)!r}); import iebench.doctor as d; print(d.setup_problems())"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def apt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An apt-get that only writes down what it is asked for, and a library that is missing."""
    log = tmp_path / "asked"
    stand_in = tmp_path / "apt-get"
    stand_in.write_text(f'#!/bin/sh\necho "$@" >> {log}\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(doctor, "BLENDER_LIBRARIES", {"libnowhere.so.7": "libnowhere7"})
    return log


@pytest.mark.processes
def test_set_up_installs_the_libraries_that_are_missing_where_it_may(
    apt: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("os.geteuid", lambda: 0)
    doctor.install_libraries()
    update, install = apt.read_text().splitlines()
    assert update.startswith("update") and install.endswith(" libnowhere7")


def test_set_up_installs_nothing_as_an_ordinary_user(apt: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    doctor.install_libraries()
    assert not apt.exists()


def test_rendering_without_blender_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, toy_models: Path, tmp_path: Path
):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = call("render", toy_models, tmp_path / "views")
    assert result.code == 2
    assert "pip install 'iebench[render]'" in result.error
    assert not (tmp_path / "views").exists()
