"""Methods from outside the package: the worked example of docs/methods.md, and entry points."""

import json
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

import iebench.methods
from every_method import METHODS, small_batch, small_method
from iebench.cli.evaluating import evaluate_run
from iebench.methods import find_method, method
from iebench.recipes.recipe import load_recipe
from iebench.report.page import write_report
from iebench.training.loop import train
from iebench.training.metrics_log import read_metrics
from iebench.training.run import Run
from shards.errors import UsageError
from toys import rewrite_index

ROOT = Path(__file__).parents[3]
SMALL = [
    "method.projector=[32, 16]",
    "training.batch_size=4",
    "training.epochs=1",
    "training.workers=0",
    "training.log_every=1",
    "evaluation.epochs=1",
    "evaluation.hidden_width=8",
]


def blocks(language: str) -> list[str]:
    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.DOTALL)


def worked_recipe() -> str:
    (text,) = [block for block in blocks("toml") if "barlow_twins" in block and "[method]" in block]
    return text


@pytest.mark.processes
def test_the_worked_example_trains_and_is_evaluated(toy_dataset: Path, tmp_path: Path):
    program = blocks("python")[0]
    code = [line for line in program.splitlines() if line and not line.startswith(("from", "import", '"""'))]
    assert len(code) <= 30
    names: dict = {"__name__": "example"}
    exec(compile(program, "docs/methods.md", "exec"), names)
    recipe = tmp_path / "barlow_twins.toml"
    recipe.write_text(worked_recipe())
    out = tmp_path / "run"
    train(load_recipe(str(recipe), SMALL), toy_dataset, out, "cpu")
    assert "embedding_std" in read_metrics(out / "metrics.jsonl")[-1]
    tasks = {score.task for score in evaluate_run(Run(out), toy_dataset, "cpu").scores}
    assert "rotation" in tasks
    assert "retrieval" not in tasks
    loss = names["correlation_loss"](torch.eye(4).repeat(8, 1), torch.eye(4).repeat(8, 1), 0.0)
    assert loss.item() < 0.01


@pytest.mark.processes
def test_the_example_of_three_views_trains_and_its_predictor_is_evaluated(toy_dataset: Path, tmp_path: Path):
    exec(compile(blocks("python")[1], "docs/methods.md", "exec"), {"__name__": "example"})
    recipe = tmp_path / "path.toml"
    recipe.write_text('extends = "sie"\n[method]\nname = "path"\n')
    loaded, out = load_recipe(str(recipe), SMALL), tmp_path / "run"
    with pytest.raises(UsageError, match="has 2 views of each object, and this training draws 3 together"):
        train(loaded, with_views(toy_dataset, tmp_path / "two", 2), tmp_path / "none", "cpu")
    train(loaded, toy_dataset, out, "cpu")
    assert "embedding_std" in read_metrics(out / "metrics.jsonl")[-1]
    assert "retrieval" in {score.task for score in evaluate_run(Run(out), toy_dataset, "cpu").scores}


METHOD = '''"""A method of one file: the distance of both views."""

from iebench.methods import Batch, Dimensions, Method, MethodConfig, Outcome, register
from iebench.methods.parts.losses import invariance_loss, variance_loss


@register("distance", MethodConfig)
class Distance(Method):
    title = "The distance method"
    baseline = "vicreg"
    term_names = {"far": "distance of two views", "flat": "lack of variance"}

    def __init__(self, config: MethodConfig, dimensions: Dimensions) -> None:
        super().__init__(dimensions)

    def forward(self, batch: Batch) -> Outcome:
        terms = {"far": invariance_loss(batch.first, batch.second), "flat": variance_loss(batch.first)}
        return Outcome({"loss": terms["far"] + terms["flat"], **terms})
'''


@pytest.mark.processes
def test_one_file_and_one_recipe_make_a_method_that_trains_and_is_named_in_the_report(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "distance.py").write_text(METHOD)
    (tmp_path / "distance.toml").write_text('extends = "sie"\n[method]\nname = "distance"\n')
    monkeypatch.setattr(method, "_METHODS", dict(method._METHODS))
    monkeypatch.setattr(iebench.methods, "__path__", [*iebench.methods.__path__, str(tmp_path)])
    import_module("iebench.methods.distance")
    monkeypatch.delitem(sys.modules, "iebench.methods.distance")

    recipe, out = load_recipe(str(tmp_path / "distance.toml"), SMALL[1:]), tmp_path / "run"
    train(recipe, toy_dataset, out, "cpu")
    assert read_metrics(out / "metrics.jsonl")[-1]["far"] > 0
    evaluate_run(Run(out), toy_dataset, "cpu")
    write_report([out], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    for words in ("The distance method was trained for", "distance of two views", "lack of variance"):
        assert words in page


def test_every_method_names_itself_and_an_existing_baseline():
    for name in METHODS:
        found = find_method(name).method
        assert found.title
        assert not found.baseline or not find_method(found.baseline).method.baseline


@pytest.mark.parametrize("name", METHODS)
def test_every_term_of_a_loss_has_a_word_for_the_report(name: str):
    built = small_method(name)
    assert set(built(small_batch(built)).terms) - {"loss"} <= set(built.term_names)


def with_views(data: Path, folder: Path, views: int) -> Path:
    """A dataset whose index says that its objects have so many views."""
    shutil.copytree(data, folder)
    content = json.loads((folder / "dataset.json").read_text())
    rewrite_index(folder, content | {"views_per_object": views})
    return folder


@pytest.mark.processes
def test_a_package_makes_its_method_known_by_an_entry_point(tmp_path: Path):
    (tmp_path / "barlow.py").write_text(blocks("python")[0])
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[iebench.methods]\nbarlow_twins = barlow\n")
    (tmp_path / "barlow_twins.toml").write_text(worked_recipe())
    program = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path)!r}]; from iebench.recipes.recipe import load_recipe; "
        f"print(load_recipe({str(tmp_path / 'barlow_twins.toml')!r}).method.redundancy)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.strip() == "0.005", done.stderr


def test_a_method_that_nobody_knows_is_one_sentence_with_the_nearest():
    with pytest.raises(UsageError, match="there is no method 'vicrag'; did you mean 'vicreg'"):
        find_method("vicrag")
