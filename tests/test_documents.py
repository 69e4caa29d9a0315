"""What the documents tell people to run: the notebook, and the README's Python."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tutorials" / "first-look.ipynb"


def run_program(program: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=folder,
        env={"MPLBACKEND": "Agg", "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1", "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.processes
def test_the_notebook_runs_from_top_to_bottom(indexed_dataset: Path, tmp_path: Path):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    program = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "views").symlink_to(indexed_dataset)
    program += "\nplt.savefig('last.png')\n"
    run_program(program, tmp_path)
    assert (tmp_path / "last.png").stat().st_size > 5_000


def test_the_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")


@pytest.mark.processes
def test_the_readme_python_runs(indexed_dataset: Path, tmp_path: Path):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = re.search(r"## In Python\n```python\n(.*?)```", text, re.DOTALL).group(1)
    for setting in ("training.epochs=1", "training.batch_size=4"):  # a dataset of few objects
        program = program.replace('["training.epochs=2"', f'["training.epochs=2", "{setting}"')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "views").symlink_to(indexed_dataset)
    run_program(program, tmp_path)
