"""What the documents tell people to run: the notebook, and the README's Python."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOK = ROOT / "docs" / "tutorials" / "first-look.ipynb"


def run_program(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a program with names of its own; in this process, since another would import PyTorch for seconds."""
    monkeypatch.chdir(folder)
    exec(compile(program, "program", "exec"), {"__name__": "__main__"})


@pytest.mark.processes
def test_the_notebook_runs_from_top_to_bottom(
    indexed_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    program = "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    (tmp_path / "runs" / "demo").mkdir(parents=True)
    (tmp_path / "runs" / "demo" / "views").symlink_to(indexed_dataset)
    program = (
        f"import matplotlib\nmatplotlib.use('Agg')\n{program}\nplt.savefig('last.png')\nplt.close('all')\n"
    )
    run_program(program, tmp_path, monkeypatch)
    assert (tmp_path / "last.png").stat().st_size > 5_000


def test_the_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] for cell in cells if cell["cell_type"] == "code")


@pytest.mark.processes
def test_the_readme_python_runs(
    indexed_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    program = re.search(r"## In Python\n```python\n(.*?)```", text, re.DOTALL).group(1)
    for setting in ("training.epochs=1", "training.batch_size=4"):  # a dataset of few objects
        program = program.replace('["training.epochs=2"', f'["training.epochs=2", "{setting}"')
    short = (
        "config=EvaluationConfig(epochs=2, linear_color_epochs=2, hidden_width=8)"  # the probes take longest
    )
    program = program.replace('"data/views")\nprint(', f'"data/views", {short})\nprint(')
    assert short in program
    program = f"from iebench.evaluation import EvaluationConfig\n{program}"
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "views").symlink_to(indexed_dataset)
    run_program(program, tmp_path, monkeypatch)
    assert "value=" in capsys.readouterr().out
