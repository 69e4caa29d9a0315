"""The comparison of methods, at toy size."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest

from iebench.recipes.recipe import load_recipe
from iebench.training.metrics_log import read_metrics
from shards.reader import read_views
from shards.schema import open_dataset
from shards.verify import verify_dataset
from warm_start import run_warm

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "methods.py"
pytestmark = pytest.mark.usefixtures("scripts")
SMALL = [
    "evaluation.epochs=1",
    "evaluation.hidden_width=8",
    "evaluation.linear_color_epochs=1",
    "training.batch_size=4",
    "method.projector=[16, 8]",
]


def objects_of(folder: Path, split: str) -> set[tuple[str, str]]:
    views = read_views(folder, open_dataset(folder), split)
    return {(view.metadata.synset, view.metadata.object) for view in views}


def test_objects_for_tuning_and_for_the_test_are_others_and_together_all(toy_dataset: Path, tmp_path: Path):
    from methods_data import split_validation

    tuning, test = split_validation(toy_dataset, tmp_path)
    first, second = objects_of(tuning, "val"), objects_of(test, "val")
    assert first and second and not first & second
    assert first | second == objects_of(toy_dataset, "val")
    for folder in (tuning, test):
        assert list(verify_dataset(folder, open_dataset(folder))) == []
        assert objects_of(folder, "train") == objects_of(toy_dataset, "train")
    before = (tuning / "val-000000.tar").stat().st_mtime_ns
    assert split_validation(toy_dataset, tmp_path) == (tuning, test)
    assert (tuning / "val-000000.tar").stat().st_mtime_ns == before


def test_a_search_finds_the_best_rate_and_then_the_best_weight():
    from methods_search import search

    tried: list[tuple[float, float]] = []

    def score(values: dict[str, float]) -> float:
        tried.append((values["lr"], values["equivariance"]))
        return -abs(values["lr"] - 4e-3) - abs(values["equivariance"] - 0.5)

    choice = search({"lr": 2e-3, "equivariance": 2.0}, score)
    assert choice.best.values == {"lr": 4e-3, "equivariance": 0.5}
    assert len(tried) == len(set(tried)) == 5
    assert [trial.values["lr"] for trial in choice.trials[:3]] == [2e-3, 1e-3, 4e-3]


@pytest.mark.parametrize(
    ("recipe", "weight"),
    [
        ("sie", "equivariance"),
        ("vicreg", "similarity"),
        ("simclr", "temperature"),
        ("byol", "momentum"),
        ("augself", "equivariance"),
        ("steerable", "equivariance"),
        ("supervised", None),
    ],
)
def test_every_method_has_its_own_weight_to_search(recipe: str, weight: str | None):
    from methods_search import candidates, own_weight

    method = load_recipe(recipe).method.model_dump()
    assert own_weight(method) == weight
    if weight:
        values = candidates(weight, method[weight])
        assert values[0] == pytest.approx(method[weight])
        assert len(set(values)) == 3
        assert all(value > 0 for value in values) and (weight != "momentum" or max(values) < 1)


def test_a_time_limit_that_a_training_ends_upon_still_ends_the_comparison(
    toy_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import methods
    from time_limit import TimeLimit

    comparison = methods.Comparison(
        Namespace(out=tmp_path, device="cpu", tuning_views=36, image_views=36, set=[]),
        open_dataset(toy_dataset),
        toy_dataset,
        toy_dataset,
        TimeLimit(1.0),
    )

    def train(*_: object, **__: object) -> None:
        """A training whose last step is over when the signal comes."""
        comparison.limit._is_over.set()

    monkeypatch.setattr(methods, "train", train)
    with pytest.raises(methods.TimeIsUp):
        comparison.measure("sie", 0, {})
    with pytest.raises(methods.TimeIsUp):
        comparison.choose("sie")


@pytest.mark.slow
def test_recipes_are_searched_and_compared_and_a_stopped_comparison_goes_on(
    toy_dataset: Path, tmp_path: Path, run_here: Callable[..., None]
):
    import methods

    results, out = tmp_path / "RESULTS.md", tmp_path / "runs"
    results.write_text("# What was measured\n\n## Something else\nstays\n")
    overrides = [word for override in SMALL for word in ("--set", override)]
    options = ["--data", toy_dataset, "--out", out, "--image-views", "72"]
    options += ["--tuning-views", "36", "--threads", "1", "--seeds", "2", "--results", results]
    options += ["--recipes", "sie", "vicreg", *overrides]

    command = [sys.executable, SCRIPT, *options, "--minutes", "0.02"]
    stopped = run_warm(command)
    assert stopped.returncode == 75, stopped.stderr
    assert "the same command goes on" in stopped.stderr
    assert not (out / "report.html").exists()

    run_here(methods.main, *options)
    text = results.read_text()
    assert "## Something else\nstays\n" in text
    assert "| `sie` |" in text and "| `vicreg` |" in text
    assert "objects of a third split" in text and "(5 trainings of 36 image views" in text
    assert "Equivariant methods hold more rotation than invariant ones: holds in" in text
    assert "Training adds rotation to what an untrained network holds: holds in" in text
    assert "untrained (2 seeds) over vicreg (" in text  # in colors, which neither is told
    assert (out / "report.html").is_file()
    objects = open_dataset(toy_dataset).splits["train"].objects
    for name in ("sie", "vicreg"):
        assert len(list((out / "search" / name).iterdir())) == 5
        chosen = [
            json.loads((out / f"{name}-seed{seed}" / "config.json").read_text())["recipe"] for seed in (0, 1)
        ]
        assert chosen[0]["optimizer"]["lr"] == chosen[1]["optimizer"]["lr"]
        assert f"lr {chosen[0]['optimizer']['lr']:g}, " in text
        steps = read_metrics(out / f"{name}-seed0" / "metrics.jsonl")[-1]["step"]
        assert steps == round(72 / 2 / objects) * objects // 4

    times = [path.stat().st_mtime_ns for path in sorted(out.glob("*/evaluations/*.json"))]
    run_here(methods.main, *options)
    assert results.read_text() == text
    assert [path.stat().st_mtime_ns for path in sorted(out.glob("*/evaluations/*.json"))] == times


@pytest.mark.slow
def test_one_recipe_is_measured_over_its_image_views(toy_dataset: Path, tmp_path: Path):
    overrides = [word for override in SMALL for word in ("--set", override)]
    command = [sys.executable, SCRIPT.with_name("methods_curve.py"), "--data", toy_dataset, "--out", tmp_path]
    command += ["--image-views", "40", "80", "--seeds", "1", "--threads", "1", *overrides]
    done = run_warm(command)
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "curve.md").read_text()
    assert "| 40 | " in table and "| 80 | " in table and "| chance | " in table
    assert "rotation R², equivariant part" in table
    svg = (tmp_path / "curve.svg").read_text()
    assert svg.count('id="LineCollection') == 2 * 3  # the intervals of three curves, there and in the legend
    objects = open_dataset(toy_dataset).splits["train"].objects
    steps = [
        read_metrics(tmp_path / f"views{views}" / "sie-seed0" / "metrics.jsonl")[-1]["step"]
        for views in (40, 80)
    ]
    assert steps == [max(1, round(views / 2 / objects)) * objects // 4 for views in (40, 80)]
