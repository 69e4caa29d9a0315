"""The whole path at toy size: real models, real Blender, real training, one command."""

from pathlib import Path

import pytest

from commands import call, run
from iebench.cli import demo
from iebench.training.metrics_log import read_metrics
from iebench.training.run import Run
from render.executor import Execution
from shards.schema import open_dataset
from toys import digests

TOY = [
    *("--objects-per-class", "3", "--views", "3", "--workers", "2"),
    *(
        "--set",
        "training.epochs=2",
        "--set",
        "training.batch_size=8",
        "--set",
        "method.projector=[32, 32, 16]",
    ),
    *("--set", "evaluation.epochs=2", "--set", "evaluation.hidden_width=16"),
]

STAGES = ["models", "views", "training sie", "training vicreg", "evaluation", "report"]


@pytest.mark.blender
@pytest.mark.slow
def test_one_command_goes_from_nothing_to_a_report_and_again_does_nothing_twice(tmp_path: Path):
    out = tmp_path / "demo"
    first = run("demo", "--out", out, "--vicreg", *TOY, timeout=500)
    assert first.code == 0, first.err
    index = open_dataset(out / "views")
    assert len(index.classes) >= 12
    assert sum(split.objects for split in index.splits.values()) == 3 * len(index.classes)
    assert read_metrics(Run(out / "run").metrics_path)
    assert read_metrics(Run(out / "vicreg").metrics_path)
    assert "On two quiet cores this takes about" in first.err
    assert all(f"{number} of 6: {name} (about " in first.err for number, name in enumerate(STAGES, start=1))
    assert all(f"{name} " in first.err.rpartition("It took ")[2] for name in STAGES)
    assert "== sie" in first.out and "== vicreg" in first.out
    assert "MRR" in first.out
    assert "untrained" in first.out
    page = (out / "report.html").read_text()
    assert "<html" in page
    assert 'href="report-explorer.html"' in page and (out / "report-explorer.html").is_file()
    assert {open_dataset(folder).image_size for folder in out.glob("report-views-*")} == {128}
    before = digests(out / "views")

    second = call("demo", "--out", out, "--vicreg", *TOY)
    assert second.code == 0, second.err
    assert digests(out / "views") == before
    assert second.out == first.out
    assert len(list(out.glob("report-views-*"))) == 1  # the same views, which are not rendered again


def test_the_demo_renders_on_the_cpu_where_a_gpu_would_compile_kernels_for_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[Execution] = []

    def render(plan: object, out: Path, execution: Execution) -> None:
        asked.append(execution)
        raise InterruptedError

    monkeypatch.setattr(demo, "make_models_with_bar", lambda *_: 0)
    monkeypatch.setattr(demo.Selection, "find_objects", lambda *_: [])
    monkeypatch.setattr(demo, "make_plan", lambda *_: None)
    monkeypatch.setattr(demo, "render_with_bar", render)
    with pytest.raises(InterruptedError):
        demo.run_demo(tmp_path, seed=0, workers=1, objects_per_class=2, views=2, overrides=())
    assert asked[0].device == "cpu"


def test_times_are_estimated_for_a_precision_that_only_gpus_have():
    recipe = demo.demo_recipe("demo", 0, ("training.precision=float16",))
    expected = demo.expected_seconds([recipe], objects_per_class=2, views=2)
    assert expected["training sie"] > 0
